"""Every address of the site filled with Alice's own rows, and what opens a stream: for the tests that walk all of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.admindocs.views import simplify_regex
from django.db.models import Model
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from agents.models import (
    Agent,
    AgentDocument,
    AgentNote,
    ApiToken,
    GateRule,
    Halt,
    ModelRoute,
    Policy,
    Preset,
    PriceList,
    Soul,
    User,
)
from channels_app.models import PushDevice
from logos_site.asgi import application
from mcp_gateway.models import McpAccess, McpServer
from runs.models import Approval, ApprovalRule, Budget, Conversation, Panel, ReviewerReversal, Run
from sandboxes.models import Sandbox, ToolCall
from tests.conftest import person
from tests.world import world

SIGN_IN = "allauth.account.auth_backends.AuthenticationBackend"


def addresses(patterns: Any = None, prefix: str = "/") -> Iterator[str]:
    """Every address of the site, its parameters as <name> or <converter:name>."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        text = str(pattern.pattern)
        if text.startswith("^") or text.endswith("$"):
            text = simplify_regex(text).lstrip("/")
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, prefix + text)
        elif isinstance(pattern, URLPattern):
            yield prefix + text


def filled(address: str, rows: dict[type[Model], Any]) -> str:
    """``address`` with Alice's own ids in it."""
    values = {
        "agent_id": rows[Agent].pk,
        "soul_id": rows[Soul].pk,
        "conversation_id": rows[Conversation].pk,
        "run_id": rows[Run].pk,
        "approval_id": rows[Approval].pk,
        "budget_id": rows[Budget].pk,
        "call_id": rows[ToolCall].pk,
        "rule_id": rows[ApprovalRule].pk,
        "reversal_id": rows[ReviewerReversal].pk,
        "panel_id": rows[Panel].pk,
        "device_id": rows[PushDevice].pk,
        "sandbox_id": rows[Sandbox].pk,
        "document_id": rows[AgentDocument].pk,
        "note_id": rows[AgentNote].pk,
        "token_id": rows[ApiToken].pk,
        "person_id": rows[User].pk,
        "group_id": 1,
        "link_id": 1,
        "export_id": "export_unknown",
        "halt_id": rows[Halt].pk,
        "session_id": rows[UserSession].pk,
        "account_id": rows[SocialAccount].pk if "sign-in" in address else rows[User].pk,
        "provider_id": "corp",
        "pk": rows[Authenticator].pk,
        "route_id": rows[ModelRoute].pk,
        "policy_id": rows[Policy].pk,
        "gate_rule_id": rows[GateRule].pk,
        "server_id": rows[McpServer].pk,
        "access_id": rows[McpAccess].pk,
        "preset_id": rows[Preset].pk,
        "list_id": rows[PriceList].pk if PriceList in rows else "prices_unknown",
        "collection": "agents",
        "kind": "agent",
        "seq": 1,
        "number": 1,
        "old": 1,
        "new": 1,
        "slug": "nothing",
        "path": "notes.md",
        "name": "LOGOS_TOKEN",
        "token": "guess",
        "rest": "anything",
        "url": "anything",
        "app_label": "agents",
        "content_type_id": 1,
        "id": rows[User].pk,
        "key": "guess",
        "uidb36": "1",
    }

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name == "object_id":
            return str(row_of(address, rows).pk)
        assert name in values, f"{address}: say in this test what to put for <{name}>."
        return str(values[name])

    return re.sub(r"<(?:\w+:)?(\w+)>", value, address)


def row_of(address: str, rows: dict[type[Model], Any]) -> Any:
    """The row a console address is about; somebody's group or queue entry is any other."""
    app, _, rest = address.removeprefix("/admin/").partition("/")
    for model, row in rows.items():
        if (model._meta.app_label, model._meta.model_name) == (app, rest.partition("/")[0]):
            return row
    return rows[Agent]


def body(rows: dict[type[Model], Any], path: str = "") -> dict[str, Any]:
    """What satisfies any door's form as far as shape goes, so that only permission can refuse."""
    tier = "user" if "mcp-servers" in path else "ask"  # one word for two scales: who decides, and what a tool may
    return {
        "text": "Mine now.",
        "revision": 1,
        "to": 1,
        "version": 1,
        "scope": "agent",
        "subject": rows[Agent].pk,
        "stage": "lifted",
        "is_on": True,
        "typed": "STOP",
        "number": 1,
        "choice": "once",
        "tool": "git.log",
        "tier": tier,
        "host": "host-777.example",
        "port": 443,
        "lines": ["host-777.example"],
        "name": "mine",
        "names": ["mine"],
        "rule": "mine",
        "person": "mallory",
        "level": "manage",
        "visibility": "shared",
        "rules": [],
        "keep_running": True,
        "keep": "yes",
        "path": "mine.md",
        "target": "taken.md",
        "agent_id": rows[Agent].pk,
        "policy_id": rows[Policy].pk,
        "limits": {"memory_mb": 2048},
        "action": "delete_selected",
        "_selected_action": rows[Agent].pk,
        "post": "yes",
    }


@pytest.fixture
def rows(route: ModelRoute) -> dict[type[Model], Any]:
    """Alice's, under a name no example uses; her run still goes on and asks."""
    rows = world(person("alice-777"), 777)
    Run.objects.filter(pk=rows[Run].pk).update(status="running", finished_at=None)
    Approval.objects.filter(pk=rows[Approval].pk).update(state="pending")
    alice = rows[User]
    rows[Authenticator] = Authenticator.objects.create(
        user=alice, type=Authenticator.Type.WEBAUTHN, data={"name": "777"}
    )
    rows[SocialAccount] = SocialAccount.objects.create(user=alice, provider="corp", uid="s-777")
    rows[Halt] = Halt.objects.create(
        scope="agent",
        subject=rows[Agent].pk,
        agent=rows[Agent],
        name="777",
        at=timezone.now(),
        lifted_at=timezone.now(),
    )
    rows[PushDevice] = PushDevice.objects.create(
        user=alice, digest="777", endpoint="https://push.example/777", name="Browser-777"
    )
    rows[UserSession] = UserSession.objects.create(user=alice, session_key="session-777", ip="203.0.113.7")
    return rows


async def stream(path: str, query: str, opener: dict[bytes, bytes]) -> tuple[int, str]:
    """The status and the first bytes of a stream; the viewer leaves at once."""
    headers = [(b"accept", b"text/event-stream"), (b"host", b"localhost"), *opener.items()]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": headers}
    sent: list[dict[str, Any]] = []
    told = asyncio.Event()

    async def receive() -> dict[str, Any]:
        # Stays until something came; a viewer who is gone at once would see nothing of an open stream.
        await told.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if b"data:" in message.get("body", b"") or (
            message["type"] == "http.response.start" and message["status"] != 200
        ):
            told.set()

    whole = {**scope, "http_version": "1.1", "scheme": "http", "server": ("localhost", 80)}
    await asyncio.wait_for(application(whole, receive, send), 20)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:]).decode()
