"""Chats made private: whoever is no party to one finds not a word of it, whichever door they try."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db.models import Model
from django.test import Client

from agents import duplicating, permissions, privacy
from agents.errors import NotFound
from agents.models import Agent, Role, SecurityEvent, SiteSettings, User
from runs.models import Approval, Conversation, Message, Run
from sandboxes.models import InferenceCall
from tests import shell
from tests.api_client import Program, record
from tests.conftest import person
from tests.doors import addresses, filled, stream
from tests.doors import rows as rows  # the fixture
from tests.world import world

MARK = "zanzibar"
SAID = re.compile(rf"{MARK} (title|text|description|error|action|refused|said|thought|output)|(rm|cat) {MARK}")
SIGN_IN = "allauth.account.auth_backends.AuthenticationBackend"


def planted(rows: dict[type[Model], Any]) -> dict[type[Model], Any]:
    """The marker in every field that holds what somebody said or an agent did."""
    run = rows[Run]
    Conversation.objects.update(title=f"{MARK} title")
    Message.objects.update(text=f"{MARK} text")
    Approval.objects.update(subject={"command": f"rm {MARK}"}, title=f"{MARK} title")
    Run.objects.update(error_message=f"{MARK} error", error_action=f"{MARK} action", stamp={"note": MARK})
    InferenceCall.objects.update(error_message=f"{MARK} refused", error_code="unknown")
    Run.objects.filter(pk=run.pk).update(status="running")
    record(
        run,
        ("text.delta", {"text": f"{MARK} said"}),
        ("reasoning.delta", {"text": f"{MARK} thought"}),
        ("tool.started", {"call_id": "c", "tool": "terminal", "args": {"command": f"cat {MARK}"}}),
        ("tool.completed", {"call_id": "c", "ok": True, "duration_ms": 3.0}),
        ("tool.result", {"call_id": "c", "result": f"{MARK} output"}),
    )
    return rows


@pytest.fixture
def told(rows: dict[type[Model], Any]) -> dict[type[Model], Any]:
    return planted(rows)


def asked(rows: dict[type[Model], Any]) -> Iterator[str]:
    """Every address, and those that search."""
    kinds = {Run: "run", Conversation: "conversation", Message: "message", Approval: "approval"}
    for address in sorted(set(addresses())):
        if not address.startswith(("/accounts/", "/admin/logout", "/healthz", "/readyz")):
            yield filled(address, rows)
    for model, kind in kinds.items():
        yield f"/explain/{kind}/{rows[model].pk}/"
        yield f"/api/explain?kind={kind}&id={rows[model].pk}&action=run.view"
    yield from (
        f"/runs/?text={MARK}",
        f"/search/?q={MARK}",
        f"/search/?text={MARK}",
        f"/api/runs?agent={rows[Agent].pk}",
    )
    yield from (f"/admin/runs/{name}/?q={MARK}" for name in ("run", "message", "conversation", "approval"))
    yield from ("/", "/audit/", "/people/privacy/", "/api/ledger", "/api/approvals")


def found(client: Client, paths: Iterable[str]) -> list[str]:
    """Those of the addresses that tell what was planted."""
    told = []
    for path in paths:
        # Only pages know two answers.
        for headers in ({},) if path.startswith(("/admin/", "/api/")) else ({}, {"HX-Request": "true"}):
            client.cookies.pop("messages", None)
            answer = client.get(path, headers=headers)
            body = b"".join(answer.streaming_content) if answer.streaming else answer.content
            text = body.decode(errors="replace")
            # A search repeats what was asked for, alone.
            if SAID.search(text) if MARK in path else MARK in text:
                told.append(path)
    return sorted(set(told))


@pytest.mark.parametrize("who", ["an admin", "an operator who manages the agent"])
def test_no_door_tells_a_word_of_a_private_chat(told: dict[type[Model], Any], who: str) -> None:
    somebody = person("zoe", Role.ADMIN if who == "an admin" else Role.OPERATOR)
    permissions.grant(somebody, "manage", told[Agent])
    ada = person("ada", Role.ADMIN)
    client = Client(raise_request_exception=False)
    client.force_login(somebody, backend=SIGN_IN)
    open_doors = found(client, asked(told))
    assert len(open_doors) > 5

    privacy.switch(ada, True)

    # Who manages an agent by a grant still sees its model calls, which hold no words of a chat but an error's.
    InferenceCall.objects.update(error_message="")
    assert found(client, asked(told)) == []
    client.force_login(told[User], backend=SIGN_IN)
    assert len(found(client, open_doors)) > 5
    privacy.switch(ada, False)
    client.force_login(somebody, backend=SIGN_IN)
    assert len(found(client, open_doors)) >= len(open_doors) - 1


def test_nothing_is_changed_from_outside_a_private_chat(told: dict[type[Model], Any], ada: User) -> None:
    privacy.switch(ada, True)
    program, run = Program(ada), told[Run]

    for method, path, body in (
        ("POST", f"runs/{run.pk}/cancel", None),
        ("POST", f"runs/{run.pk}/clone", None),
        ("POST", f"conversations/{told[Conversation].pk}/messages", {"text": "Hello"}),
        ("POST", f"approvals/{told[Approval].pk}/decide", {"choice": "once"}),
    ):
        answer = program(method, path, body)
        assert answer.status_code == 404, path
        assert MARK not in answer.content.decode()
    assert Run.objects.count() == 1


def test_the_model_calls_of_others_are_closed_to_the_role_alone(told: dict[type[Model], Any], ada: User) -> None:
    assert permissions.visible(ada, InferenceCall.objects.all()).exists()

    privacy.switch(ada, True)

    assert not permissions.visible(ada, InferenceCall.objects.all()).exists()
    assert permissions.visible(told[User], InferenceCall.objects.all()).exists()


@pytest.mark.django_db(transaction=True)
async def test_no_stream_of_a_private_chat_opens(db: None) -> None:
    def prepare() -> tuple[str, dict[bytes, bytes], dict[bytes, bytes]]:
        rows = planted(world(person("alice-777"), 777))
        ada = person("ada", Role.ADMIN)
        privacy.switch(ada, True)
        cookies = []
        for somebody in (ada, rows[User]):
            client = Client()
            client.force_login(somebody, backend=SIGN_IN)
            cookies.append({b"cookie": f"logos_session={client.cookies['logos_session'].value}".encode()})
        return rows[Run].pk, *cookies

    run, ada, alice = await sync_to_async(prepare)()
    for path, query in ((f"/stream/runs/{run}", "view=chat"), (f"/api/runs/{run}/events", "")):
        status, text = await stream(path, query, ada)
        assert (status, MARK in text) == (404, False)
        status, _ = await asyncio.wait_for(stream(path, query, alice), 20)
        assert status == 200


def test_commands_show_an_admin_no_private_chat(told: dict[type[Model], Any], ada: User) -> None:
    assert told[Run].pk in shell.run("runs", "list", "--user", "ada").out

    privacy.switch(ada, True)

    for words in (("list",), ("show", told[Run].pk)):
        ended = shell.run("runs", *words, "--user", "ada")
        assert MARK not in ended.out + ended.said


# --- what is left, and the switch itself ----------------------------------------------------------
def test_admins_still_see_who_when_and_what_it_cost(told: dict[type[Model], Any], ada: User) -> None:
    privacy.switch(ada, True)

    line = Program(ada).get("ledger")["items"][0]

    assert (line["person"], line["agent"], line["status"]) == ("alice-777", "agent-777", "running")
    assert MARK not in json.dumps(line)
    client = Client()
    client.force_login(ada, backend=SIGN_IN)
    assert "alice-777" in client.get("/people/privacy/").content.decode()
    assert "Nothing matches" in client.get("/people/privacy/?text=nobody").content.decode()


def test_the_switch_is_audited_has_a_history_and_is_shown_to_everybody(
    ada: User, alice: User, browser: Callable[..., Client]
) -> None:
    client, reader = browser(ada), browser(alice)
    assert "can read the chats" in reader.get("/account/").content.decode()

    assert client.post("/people/privacy/", {"private": "on"}).status_code == 302
    client.post("/people/privacy/", {"private": "on"})

    assert "Chats are private here" in reader.get("/account/").content.decode()
    assert Program(alice).get("privacy") == {"private_chats": True}
    assert Program(ada)("PUT", "privacy", {"private_chats": False}).json() == {"private_chats": False}
    assert list(SecurityEvent.objects.filter(kind__startswith="private").order_by("id").values_list("kind", "actor")) == [
        ("private_chats_on", ada.pk), ("private_chats_off", ada.pk),
    ]  # fmt: skip
    kept = SiteSettings.history.order_by("history_id").values_list("private_chats", "history_user")
    assert list(kept)[-2:] == [(True, ada.pk), (False, ada.pk)]
    assert shell.run("people", "privacy", "on").out.strip() == "on"


def test_only_admins_turn_it(mallory: User, browser: Callable[..., Client]) -> None:
    for somebody in (mallory, person("otto", Role.OPERATOR)):
        assert browser(somebody).get("/people/privacy/").status_code == 404
        assert browser(somebody).post("/people/privacy/", {"private": "on"}).status_code == 404
        assert Program(somebody)("PUT", "privacy", {"private_chats": True}).status_code == 404
        assert Program(somebody)("GET", "ledger").status_code == 404
        with pytest.raises(NotFound):
            privacy.switch(somebody, True)
    assert not privacy.is_on()


def test_the_audit_keeps_no_title_of_a_chat_somebody_tried_to_open(told: dict[type[Model], Any], ada: User) -> None:
    privacy.switch(ada, True)
    Program(ada)("POST", f"conversations/{told[Conversation].pk}/messages", {"text": "Hello"})

    assert not SecurityEvent.objects.filter(object_name__contains=MARK).exists()


@pytest.mark.parametrize("part", ["files", "notes", "sessions"])
def test_nobody_but_its_owner_copies_what_an_agent_remembers(
    told: dict[type[Model], Any], ada: User, part: str
) -> None:
    agent = told[Agent]
    assert privacy.not_copied(ada, agent, part) == ""

    privacy.switch(ada, True)

    assert "Chats are private" in duplicating.obstacle(ada, agent, part)
    assert "Chats are private" not in duplicating.obstacle(told[User], agent, part)
