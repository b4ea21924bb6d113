"""Every door of the site, tried by a stranger, by Mallory and by an operator who owns nothing.

Whatever address exists, they get nothing of Alice's: not a row, not a name, not a change. A new address with a
parameter this test does not know fails it until somebody says what to put there.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from asgiref.sync import sync_to_async
from django.contrib.admindocs.views import simplify_regex
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from agents.models import Agent, ApiToken, ModelRoute, Policy, Provider, Role, Soul, User
from agents.permissions import GRANTS
from logos_site.asgi import application
from runs.models import Approval, Conversation, EngineBeat, Run, RunEvent
from sandboxes.models import Sandbox
from tests.conftest import person
from tests.world import traces, world

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
SIGN_IN = "allauth.account.auth_backends.AuthenticationBackend"

# What a stranger may open: signing in, being told whether it lives, how the API is used.
# What a stranger's passkey is asked says nothing about anybody.
PUBLIC = re.compile(r"/|/healthz|/readyz|/accounts/.*|/account/second-factor/webauthn/login/")
# What tells what: everything below answers for itself, and has no rows.
REFUSED = frozenset({302, 400, 401, 403, 404, 405})


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
        "sandbox_id": rows[Sandbox].pk,
        "token_id": rows[ApiToken].pk,
        "person_id": rows[User].pk,
        "group_id": 1,
        "link_id": 1,
        "session_id": rows[UserSession].pk,
        "account_id": rows[SocialAccount].pk if "sign-in" in address else rows[User].pk,
        "provider_id": "corp",
        "pk": rows[Authenticator].pk,
        "route_id": rows[ModelRoute].pk,
        "policy_id": rows[Policy].pk,
        "collection": "agents",
        "kind": "agent",
        "seq": 1,
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
            return str(_row_of(address, rows).pk)
        assert name in values, f"{address}: say in this test what to put for <{name}>."
        return str(values[name])

    return re.sub(r"<(?:\w+:)?(\w+)>", value, address)


def _row_of(address: str, rows: dict[type[Model], Any]) -> Any:
    """The row a console address is about; somebody's group or queue entry is any other."""
    app, _, rest = address.removeprefix("/admin/").partition("/")
    for model, row in rows.items():
        if (model._meta.app_label, model._meta.model_name) == (app, rest.partition("/")[0]):
            return row
    return rows[Agent]


def body(rows: dict[type[Model], Any]) -> dict[str, Any]:
    """What satisfies any door's form as far as shape goes, so that only permission can refuse."""
    return {
        "text": "Mine now.",
        "revision": 1,
        "version": 1,
        "choice": "once",
        "name": "mine",
        "person": "mallory",
        "level": "manage",
        "visibility": "shared",
        "agent_id": rows[Agent].pk,
        "action": "delete_selected",
        "_selected_action": rows[Agent].pk,
        "post": "yes",
    }


def snapshot(rows: dict[type[Model], Any]) -> dict[str, Any]:
    """Everything that is stored of these rows, and how many hang off them."""
    kept = {model.__name__: model._default_manager.filter(pk=row.pk).values().first() for model, row in rows.items()}
    counts = {"runs": Run.objects.count(), "events": RunEvent.objects.count(), "policies": Policy.objects.count()}
    grants = {table.__name__: table._default_manager.count() for pair in GRANTS.values() for table in pair}
    return kept | counts | grants


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
    rows[UserSession] = UserSession.objects.create(user=alice, session_key="session-777", ip="203.0.113.7")
    return rows


@pytest.mark.parametrize("who", ["a stranger", "mallory", "an operator"])
def test_no_door_gives_away_or_changes_anything_of_somebody_elses(rows: dict[type[Model], Any], who: str) -> None:
    client = Client(raise_request_exception=False)
    if who != "a stranger":
        role = Role.OPERATOR if who == "an operator" else Role.USER
        client.force_login(person(who.split()[-1], role), backend=SIGN_IN)
    before, complaints, tried = snapshot(rows), [], 0

    for address in sorted(set(addresses())):
        path = filled(address, rows)
        # Signing out would end the walk; whoever is signed in may.
        if path.startswith(("/accounts/logout", "/admin/logout")):
            continue
        # The console takes whatever is not POST for GET; there is no need to draw its pages four times.
        for method in METHODS[:2] if path.startswith("/admin/") else METHODS:
            tried += 1
            answer = _ask(client, method, path, body(rows))
            complaints += [f"{method} {path}: {problem}" for problem in _problems(answer, address, path, who, rows)]

    assert tried > 300
    assert not complaints
    assert snapshot(rows) == before


def _ask(client: Client, method: str, path: str, data: dict[str, Any]) -> HttpResponse:
    # The console says of the page before that an id is unknown, and names it: the id this walk asked for.
    client.cookies.pop("messages", None)
    if method == "POST" and not path.startswith("/api/"):
        return client.post(path, data)
    return client.generic(method, path, json.dumps(data), "application/json")


def _problems(answer: HttpResponse, address: str, path: str, who: str, rows: dict[type[Model], Any]) -> Iterator[str]:
    status = answer.status_code
    if status >= 500 and path != "/readyz":  # nothing is ready in a test
        yield f"broke with {status}"
    if who == "a stranger" and status < 300 and not PUBLIC.fullmatch(path):
        yield f"open to strangers ({status})"
    if "<" in address and status not in REFUSED and not _is_everybodys(address, path):
        yield f"answered {status} about a row of Alice's"
    text = b"".join(answer.streaming_content).decode() if answer.streaming else answer.content.decode(errors="replace")
    text += answer.headers.get("Location", "")
    # A refusal may repeat the address it was asked for, nothing else.
    told = [trace for trace in traces(rows, 777) if trace in text and trace not in path]
    if told:
        yield f"tells {told}"


def _is_everybodys(address: str, path: str) -> bool:
    """Addresses whose parameter names no row of Alice's."""
    return (
        address.startswith("/accounts/") or _row_of(address, {Agent: None, Provider: 1}) == 1 or "app_label" in address
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("who", ["a stranger", "mallory", "an operator"])
async def test_no_stream_opens_for_somebody_else(who: str) -> None:
    def prepare() -> tuple[dict[type[Model], Any], str]:
        rows = world(person("alice-777"), 777)
        client = Client()
        if who != "a stranger":
            role = Role.OPERATOR if who == "an operator" else Role.USER
            client.force_login(person(who.split()[-1], role), backend=SIGN_IN)
        cookie = client.cookies.get("logos_session")
        return rows, f"logos_session={cookie.value}" if cookie else ""

    rows, cookie = await sync_to_async(prepare)()
    run = rows[Run].pk
    for path, query in [
        *((f"/stream/runs/{run}", f"view={view}") for view in ("chat", "run", "json", "nothing")),
        (f"/api/runs/{run}/events", ""),
        (f"/api/runs/{run}/events/", "after=0"),
        ("/stream/runs/run_nobody", ""),
        ("/stream/anything", ""),
    ]:
        status, text = await _stream(path, query, cookie)

        assert status in {401, 404}, path
        assert not [trace for trace in traces(rows, 777) if trace in text]


async def _stream(path: str, query: str, cookie: str) -> tuple[int, str]:
    """The status and the first bytes of a stream; the viewer leaves at once."""
    headers = [(b"accept", b"text/event-stream"), (b"cookie", cookie.encode()), (b"host", b"localhost")]
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


def test_the_walk_sees_what_an_owner_is_shown(rows: dict[type[Model], Any]) -> None:
    """The same look, as Alice: if it found nothing here it would find nothing anywhere."""
    client = Client()
    client.force_login(rows[User], backend=SIGN_IN)
    seen = set()
    for address in sorted(set(addresses())):
        path = filled(address, rows)
        if path.startswith(("/accounts/", "/account/second-factor/", "/admin/")):
            continue
        answer = client.get(path)
        if answer.status_code == 200 and not answer.streaming:
            seen |= {trace for trace in traces(rows, 777) if trace in answer.content.decode(errors="replace")}

    missing = {"rm 777", "-777", "alice-777", rows[Agent].pk.rpartition("_")[2], rows[Run].pk.rpartition("_")[2]} - seen
    assert not missing
    assert EngineBeat.objects.exists()
