"""Every door of the site, tried by everybody who must not get anything of Alice's through it.

Strangers, people without grants, an operator who owns nothing, somebody suspended or demoted a moment ago, tokens that
are over and one that may only read: whatever address exists and however they ask, they get not a row, not a name, not a
change. A new address with a parameter this test does not know fails it until somebody says what to put there.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib import admin
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from agents import service_accounts, tokens
from agents.models import (
    Agent,
    ApiToken,
    Preset,
    Provider,
    Role,
    User,
)
from logos_site.asgi import application
from runs.models import EngineBeat, Run
from sandboxes.models import Sandbox
from tests import tables
from tests.conftest import person
from tests.console import Console, initial_values
from tests.doors import SIGN_IN, addresses, body, filled, row_of, stream
from tests.doors import rows as rows
from tests.world import traces, world

pytestmark = pytest.mark.sweep

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

# What a stranger may open: signing in, being told whether it lives, how the API is used.
# What a stranger's passkey is asked says nothing about anybody.
PUBLIC = re.compile(r"/|/healthz|/readyz|/push-worker.js|/accounts/.*|/account/second-factor/webauthn/login/")
# What tells what: everything below answers for itself, and has no rows.
REFUSED = frozenset({302, 400, 401, 403, 404, 405})


def enter(who: str) -> tuple[Client, User | None]:
    """A browser of this visitor, and whose account they have that still works."""
    client = Client(raise_request_exception=False)
    if who == "a stranger":
        return client, None
    visitor = person("otto" if "operator" in who else who, Role.OPERATOR if "operator" in who else Role.USER)
    client.force_login(visitor, backend=SIGN_IN)
    if who == "suspended":
        # Behind everybody's back: no session is ended, so the next request must notice by itself.
        User.objects.filter(pk=visitor.pk).update(is_active=False)
        return client, None
    if who == "a demoted operator":
        assert client.get("/admin/").status_code == 200
        User.objects.filter(pk=visitor.pk).update(role=Role.VIEWER, is_staff=False)
    return client, visitor


# Whoever was demoted a moment ago is a viewer now.
VISITORS = ("a stranger", "mallory", "a demoted operator", "an operator", "suspended")


@pytest.mark.parametrize("who", VISITORS)
def test_no_door_gives_away_or_changes_anything_of_somebody_elses(rows: dict[type[Model], Any], who: str) -> None:
    client, visitor = enter(who)
    before, complaints, tried = tables.everything(), [], 0

    for address in sorted(set(addresses())):
        path = filled(address, rows)
        # Signing out would end the walk; whoever is signed in may.
        if path.startswith(("/accounts/logout", "/admin/logout")):
            continue
        for method, headers in _ways(path):
            tried += 1
            answer = _ask(client, method, path, body(rows, path), headers)
            problems = _problems(answer, address, path, "" if visitor else "a stranger", rows)
            complaints += [f"{method} {path}{' by htmx' if headers else ''}: {problem}" for problem in problems]

    complaints += _written(before, rows, visitor)
    assert tried > 600
    assert not complaints


HTMX = {"HX-Request": "true", "HX-Current-URL": "http://testserver/runs/"}


def _ways(path: str) -> Iterator[tuple[str, dict[str, str]]]:
    """How a door is tried. The console takes whatever is not POST for GET; there is no need to draw its pages again."""
    if path.startswith("/admin/"):
        yield from (("GET", {}), ("POST", {}))
    elif path.startswith("/api/"):
        yield from ((method, {}) for method in METHODS)
    else:
        yield from (("GET", {}), ("POST", {}), ("DELETE", {}), ("GET", HTMX), ("POST", HTMX))


def _written(before: tables.State, rows: dict[type[Model], Any], visitor: User | None) -> list[str]:
    """What a walk wrote that it must not: any old row but one's own, any new row of somebody without an account, and
    one's own new rows that name something of Alice's."""
    now = tables.everything()
    own = {("agents.User", str(visitor.pk))} if visitor else set()
    wrong = [f"changed {key}" for key in tables.changed(before, now) - own]
    if visitor:
        role = visitor.role
        visitor.refresh_from_db()
        wrong += [f"{visitor} became {visitor.role}"] if visitor.role not in (role, Role.VIEWER) else []
        mine = {row.pk for row in rows.values() if isinstance(row.pk, str)}
        named = [(key, tables.text_of(key)) for key in tables.added(before, now)]
        return wrong + [f"made {key} about Alice's" for key, text in named if any(f'"{pk}"' in text for pk in mine)]
    return wrong + [f"made {key}" for key in tables.added(before, now)]


@pytest.mark.parametrize("which", ["an expired", "a revoked", "a suspended person's", "a suspended keeper's"])
def test_no_token_that_is_over_opens_any_door(rows: dict[type[Model], Any], which: str) -> None:
    alice, now = rows[User], timezone.now()
    holder = alice
    if which == "a suspended keeper's":
        holder = service_accounts.make(alice, "bot-777", Role.USER)
    token, secret = ApiToken.make(holder, "over")
    if which in ("an expired", "a revoked"):
        field = "expires_at" if which == "an expired" else "revoked_at"
        ApiToken.objects.filter(pk=token.pk).update(**{field: now})
    else:
        User.objects.filter(pk=alice.pk).update(is_active=False)
    client = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {secret}"})
    before = tables.everything()

    complaints = []
    for address in sorted(set(addresses())):
        path = filled(address, rows)
        if path.startswith(("/admin/", "/accounts/logout")):
            continue
        for method in METHODS if path.startswith("/api/") else ("GET", "POST"):
            answer = _ask(client, method, path, body(rows, path))
            complaints += [f"{method} {path}: {it}" for it in _problems(answer, address, path, "a stranger", rows)]

    assert not complaints
    assert tables.everything() == before


# Said here again: what a scope opens is no question to ask the code under test.
OPENED_BY = {
    "read": (),
    "chat": ("/api/conversations", "/api/runs", "/api/approvals"),
    "agents": ("/api/agents", "/api/souls", "/api/sandboxes"),
}


@pytest.mark.parametrize("word", OPENED_BY)
def test_a_token_writes_nothing_its_scope_does_not_name(rows: dict[type[Model], Any], word: str) -> None:
    """Alice's own token, so that nothing but the scope can refuse."""
    _, secret = tokens.make(rows[User], "narrow", words=[word])
    client = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {secret}"})
    before, complaints, refused = tables.everything(), [], 0

    for address in sorted(set(addresses())):
        path = filled(address, rows)
        # How the API is described is told to browsers alone.
        if not path.startswith("/api/") or path in ("/api/docs", "/api/openapi.json"):
            continue
        for method in METHODS[1:]:
            if path.startswith(OPENED_BY[word]):
                continue
            answer = _ask(client, method, path, body(rows, path))
            if answer.status_code == 403 and answer.json()["error"]["reason"] == "scope":
                refused += 1
            elif answer.status_code not in (404, 405):
                complaints.append(f"{method} {path} answered {answer.status_code}")

    assert not complaints
    assert refused > 15
    assert tables.everything() == before


def test_a_token_that_may_only_read_does_read(rows: dict[type[Model], Any]) -> None:
    """Otherwise that it writes nothing would prove nothing."""
    _, secret = tokens.make(rows[User], "narrow", words=["read"])
    client = Client(headers={"Authorization": f"Bearer {secret}"})

    for path in ("agents", f"agents/{rows[Agent].pk}", "runs", f"runs/{rows[Run].pk}", "souls", "conversations"):
        answer = client.get(f"/api/{path}")
        assert answer.status_code == 200, path
        assert "777" in answer.content.decode(), path


@pytest.mark.parametrize("who", ["an operator", "a demoted operator"])
def test_no_form_or_action_of_the_console_changes_a_row_of_somebody_elses(
    rows: dict[type[Model], Any], ada: User, who: str
) -> None:
    """With the very forms an admin would send: whole, valid, and every action there is."""
    as_admin, asked = Console(ada), []
    for model in admin.site._registry:
        row = rows.get(model)
        if row is None:
            continue
        change = as_admin.address(model, "change", row.pk)
        form = as_admin.client.get(change)
        if form.status_code == 200 and "adminform" in (form.context or {}):
            asked.append((change, initial_values(form) | {"name": "mine", "role": "admin", "_save": "1"}))
        asked.append((as_admin.address(model, "delete", row.pk), {"post": "yes"}))
        for _, action, _ in admin.site._registry[model]._get_base_actions():
            data = {"action": action, "_selected_action": [row.pk], "post": "yes", "index": 0}
            asked += [(as_admin.address(model), data), (as_admin.address(model), {**data, "select_across": "1"})]
    client, visitor = enter(who)
    before = tables.everything()

    complaints = []
    for path, data in asked:
        answer = _ask(client, "POST", path, data)
        complaints += [f"POST {path} {data.get('action', '')} answered {answer.status_code}"] * (
            answer.status_code >= 500
        )
        told = answer.content.decode(errors="replace")
        complaints += [f"POST {path} tells of {trace}" for trace in traces(rows, 777) if trace in told]

    assert len(asked) > 20
    assert not complaints
    assert not _written(before, rows, visitor)


def _ask(
    client: Client, method: str, path: str, data: dict[str, Any], headers: dict[str, str] | None = None
) -> HttpResponse:
    # The console says of the page before that an id is unknown, and names it: the id this walk asked for.
    client.cookies.pop("messages", None)
    if method == "POST" and not path.startswith("/api/"):
        return client.post(path, data, headers=headers)
    return client.generic(method, path, json.dumps(data), "application/json", headers=headers)


def _problems(answer: HttpResponse, address: str, path: str, who: str, rows: dict[type[Model], Any]) -> Iterator[str]:
    # Told to take the whole page elsewhere, htmx is answered with 204: to it that is a redirect.
    status = 302 if answer.headers.get("HX-Redirect", "").startswith("/accounts/login/") else answer.status_code
    if status >= 500 and path != "/readyz":  # nothing is ready in a test
        yield f"broke with {status}"
    if who == "a stranger" and status < 300 and not PUBLIC.fullmatch(path):
        yield f"open to strangers ({status})"
    if "<" in address and status not in REFUSED and not _is_everybodys(address, path):
        yield f"answered {status} about a row of Alice's"
    text = b"".join(answer.streaming_content).decode() if answer.streaming else answer.content.decode(errors="replace")
    text += answer.headers.get("Location", "") + answer.headers.get("HX-Redirect", "")
    # A refusal may repeat the address it was asked for, nothing else.
    told = [trace for trace in traces(rows, 777) if trace in text and trace not in path]
    if told:
        yield f"tells {told}"


def _is_everybodys(address: str, path: str) -> bool:
    """Addresses whose parameter names no row of Alice's, and reading the library."""
    return (
        address.startswith("/accounts/")
        or row_of(address, {Agent: None, Provider: 1, Preset: 1}) == 1
        or "app_label" in address
        or address in ("/presets/<str:preset_id>/", "/api/presets/<preset_id>")
    )


STREAM_VISITORS = (*VISITORS, "an expired token", "a revoked token")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("who", STREAM_VISITORS)
async def test_no_stream_or_socket_opens_for_somebody_else(who: str) -> None:
    def prepare() -> tuple[dict[type[Model], Any], dict[bytes, bytes]]:
        rows = world(person("alice-777"), 777)
        if "token" in who:
            token, secret = ApiToken.make(rows[User], "over")
            field = "expires_at" if "expired" in who else "revoked_at"
            ApiToken.objects.filter(pk=token.pk).update(**{field: timezone.now()})
            return rows, {b"authorization": f"Bearer {secret}".encode()}
        cookie = enter(who)[0].cookies.get("logos_session")
        return rows, {b"cookie": f"logos_session={cookie.value}".encode()} if cookie else {}

    rows, opener = await sync_to_async(prepare)()
    run = rows[Run].pk
    for path, query in [
        *((f"/stream/runs/{run}", f"view={view}") for view in ("chat", "run", "json", "nothing")),
        (f"/api/runs/{run}/events", ""),
        (f"/api/runs/{run}/events/", "after=0"),
        ("/stream/runs/run_nobody", ""),
        ("/stream/anything", ""),
    ]:
        status, text = await stream(path, query, opener)

        assert status in {401, 404}, path
        assert not [trace for trace in traces(rows, 777) if trace in text]
    # With the very origin a page of ours has, so that only the person can be refused.
    opener |= {b"origin": b"http://testserver", b"host": b"testserver"}
    shell = f"/ws/sandboxes/{rows[Sandbox].pk}/shell"
    for path in (f"/stream/runs/{run}", f"/ws/runs/{run}", "/", shell, f"{shell}/", "/ws/sandboxes/box_nobody/shell"):
        assert await _socket(path, opener) == "websocket.close", path


async def _socket(path: str, opener: dict[bytes, bytes]) -> str:
    """What a websocket is answered with."""
    sent: list[Any] = []
    waiting = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}]

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": path, "query_string": b"", "headers": list(opener.items())}
    await asyncio.wait_for(application(scope, receive, send), 20)
    return sent[0]["type"]


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
