"""Erasing a person: nothing of theirs is left in any table or file, the ledger is, and every chain still verifies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.test import Client

from agents import erasing, exporting, invitations, people, permissions, service_accounts
from agents.errors import Conflict, Invalid, NotFound
from agents.models import Agent, ApiToken, Role, SecurityEvent, User
from agents.models.people import LastAdmin
from channels_app.models import PushDevice
from runs import dispatch, events
from runs import erasing as erasing_runs
from runs.models import Approval, ApprovalRule, Message, Run, RunEvent, Status
from runs.timeline import Timeline
from sandboxes import lifecycle
from sandboxes.models import Sandbox
from tests import shell
from tests.api_client import Program, end, record
from tests.conftest import PASSWORD, person
from tests.world import world

MARK = "zanzibar"


@pytest.fixture
def zoe(db: None) -> User:
    """Somebody whose name, address, texts, agents and souls all hold the marker, in every table that could."""
    somebody = User.objects.create_user(f"{MARK}-zoe", f"{MARK}@example.org", PASSWORD, first_name=MARK, last_name=MARK)
    rows = world(somebody, 5)
    agent, run = rows[Agent], rows[Run]
    agent.name, agent.description = f"{MARK} agent", f"{MARK} description"
    agent.save()
    soul = agent.soul
    soul.name, soul.text, soul.description = f"{MARK} soul", f"{MARK} text", MARK
    soul.save()
    soul.revisions.update(text=f"{MARK} revision", note=MARK)
    Message.objects.update(text=f"{MARK} text")
    Approval.objects.update(subject={"command": f"rm {MARK}"}, title=MARK, purpose=MARK, note=MARK, findings=[MARK])
    ApprovalRule.objects.update(words=f"rm {MARK}")
    later = dispatch.start(somebody, f"{MARK} again", conversation=rows[Run].conversation).run
    record(
        later,
        ("text.delta", {"text": f"{MARK} said"}),
        ("tool.started", {"call_id": "c", "tool": "terminal", "args": {"command": f"cat {MARK}"}}),
        ("tool.completed", {"call_id": "c", "ok": True, "duration_ms": 3.0}),
        ("tool.result", {"call_id": "c", "result": f"{MARK} output"}),
    )
    end(later, f"{MARK} reply", by=somebody.username)
    Run.objects.filter(pk=run.pk).update(error_message=MARK, error_action=MARK)
    Authenticator.objects.create(user=somebody, type="webauthn", data={"name": MARK})
    EmailAddress.objects.create(user=somebody, email=somebody.email)
    LogEntry.objects.create(user=somebody, action_flag=2, object_repr=MARK, change_message=MARK)
    PushDevice.objects.create(user=somebody, digest=MARK, endpoint=f"https://push.example/{MARK}", name=MARK)
    root = lifecycle.root_of(rows[Sandbox].pk)
    root.mkdir(parents=True)
    (root / "notes.md").write_text(MARK)
    return somebody


def kept() -> list[str]:
    """Every column of every table that still holds the marker."""
    found = []
    for model in apps.get_models():
        for row in model._default_manager.values():
            found += [f"{model.__name__}.{name}" for name, value in row.items() if MARK in str(value)]
    return sorted(set(found))


def test_nothing_of_an_erased_person_is_left_in_any_table_or_file(ada: User, zoe: User) -> None:
    invitations.password_link(ada, zoe)
    invitations.invite(ada, Role.USER, zoe.email)
    people.change_role(ada, zoe, Role.OPERATOR)
    box = Sandbox.objects.get(agent__owner=zoe)
    assert len(kept()) > 15

    erasing.erase(ada, zoe, zoe.username)

    assert kept() == []
    assert not lifecycle.root_of(box.pk).exists()
    assert not Authenticator.objects.filter(user=zoe).exists()
    assert not ApiToken.objects.filter(user=zoe).exists()
    assert User.objects.get(pk=zoe.pk).state == "erased"


def test_the_ledger_stays_and_every_chain_still_verifies(ada: User, zoe: User) -> None:
    names = ("id", "status", "model_calls", "input_tokens", "cost", "created_at", "finished_at", "fingerprint")
    before = list(Run.objects.order_by("pk").values(*names))
    chain = list(RunEvent.objects.order_by("pk").values("seq", "kind", "at", "previous", "digest"))

    erasing.erase(ada, zoe, zoe.username)

    assert list(Run.objects.order_by("pk").values(*names)) == before
    assert list(RunEvent.objects.order_by("pk").values("seq", "kind", "at", "previous", "digest")) == chain
    assert [events.verify(run) for run in Run.objects.all()] == [""] * len(before)
    assert not RunEvent.objects.filter(erased="").exists()


@pytest.mark.parametrize(
    "change",
    [{"kind": "note"}, {"seq": 99}, {"digest": "0" * 64}, {"previous": "0" * 64}, {"erased": "0" * 64}, {"erased": ""}],
)
def test_an_erased_chain_that_was_changed_does_not_hold(ada: User, zoe: User, change: dict) -> None:
    erasing.erase(ada, zoe, zoe.username)
    row = RunEvent.objects.filter(kind="tool.started").get()

    RunEvent.objects.filter(pk=row.pk).update(**change)

    assert events.verify(row.run) != ""


def test_a_dropped_event_of_an_erased_run_shows(ada: User, zoe: User) -> None:
    erasing.erase(ada, zoe, zoe.username)
    row = RunEvent.objects.filter(kind="tool.started").get()

    row.delete()

    assert events.verify(row.run) != ""


def test_an_erased_run_is_drawn_without_its_words(ada: User, zoe: User, browser: Callable[..., Client]) -> None:
    erasing.erase(ada, zoe, zoe.username)

    for run in Run.objects.all():
        Timeline(events.replay(run.pk))
        for part in ("", "reply/", "record/"):
            page = browser(ada).get(f"/runs/{run.pk}/{part}")
            assert (page.status_code, MARK in page.content.decode()) == (200, False)
        assert "erased" in browser(ada).get(f"/runs/{run.pk}/record/").content.decode()
    assert browser(ada).get(f"/people/{zoe.pk}/").status_code == 200
    assert Program(ada).get("runs")["items"]


def test_others_keep_theirs(ada: User, zoe: User, alice: User, atlas: Agent) -> None:
    agent = Agent.objects.get(owner=zoe)
    permissions.grant(alice, "chat", agent)
    run = end(dispatch.start(alice, "Hello, it is Alice", agent=agent).run, "Hello Alice")

    erasing.erase(ada, zoe, zoe.username)

    run.refresh_from_db()
    assert (run.message.text, run.reply.text, events.verify(run)) == ("Hello, it is Alice", "Hello Alice", "")
    assert RunEvent.objects.filter(run=run, erased="").exists()
    assert Agent.objects.alive().get() == atlas


def test_it_may_be_asked_again_and_taken_up_where_it_stopped(ada: User, zoe: User, monkeypatch: Any) -> None:
    def broken(person: User) -> None:
        raise RuntimeError("The power went.")

    monkeypatch.setattr(erasing, "_traces", broken)
    with pytest.raises(RuntimeError):
        erasing.erase(ada, zoe, zoe.username)
    assert User.objects.get(pk=zoe.pk).state == "erased"
    monkeypatch.undo()

    erasing.erase(ada, User.objects.get(pk=zoe.pk), zoe.username)
    assert kept() == []
    erasing.erase(ada, User.objects.get(pk=zoe.pk), f"erased-{zoe.pk}")

    assert kept() == []
    assert SecurityEvent.objects.filter(kind="erasure_asked").count() == 1


def test_running_runs_are_stopped_first(ada: User, zoe: User) -> None:
    run = dispatch.start(zoe, "run: sleep 100", agent=Agent.objects.get(owner=zoe)).run

    erasing.erase(ada, zoe, zoe.username)

    run.refresh_from_db()
    assert (run.status, events.verify(run)) == (Status.CANCELLED, "")


def test_a_run_that_does_not_end_holds_the_erasure_up(ada: User, zoe: User, monkeypatch: Any) -> None:
    monkeypatch.setattr(erasing_runs, "STOP_S", 0.0)
    run = dispatch.start(zoe, "run: sleep 100", agent=Agent.objects.get(owner=zoe)).run
    Run.objects.filter(pk=run.pk).update(status=Status.RUNNING, lease_owner="an engine")

    with pytest.raises(Conflict, match="still ending"):
        erasing.erase(ada, zoe, zoe.username)

    run.refresh_from_db()
    assert run.cancel_requested_at is not None
    assert User.objects.get(pk=zoe.pk).state == "erased"


def test_the_last_admin_is_not_erased(ada: User) -> None:
    with pytest.raises(LastAdmin):
        erasing.erase(ada, ada, "ada")

    ada.refresh_from_db()
    assert (ada.is_admin, ada.erased_at) == (True, None)


def test_only_oneself_and_admins_erase_and_not_by_a_slip(ada: User, alice: User, mallory: User) -> None:
    with pytest.raises(NotFound):
        erasing.erase(mallory, alice, "alice")
    with pytest.raises(Invalid, match="Type alice"):
        erasing.erase(ada, alice, "Alice")
    with pytest.raises(NotFound):
        erasing.erase(person("otto", Role.OPERATOR), alice, "alice")

    erasing.erase(alice, alice, "alice")

    alice.refresh_from_db()
    assert (alice.state, alice.username) == ("erased", f"erased-{alice.pk}")


def test_the_pages_ask_for_the_name_and_the_password(ada: User, alice: User, browser: Callable[..., Client]) -> None:
    client = browser(ada)
    page = client.post(f"/people/{alice.pk}/erase/", {"typed": "alicia"})
    assert (page.status_code, "Type alice" in page.content.decode()) == (400, True)
    leaver = browser(alice)
    assert leaver.get("/account/erase/")["Location"].startswith("/accounts/reauthenticate/")
    leaver.post("/accounts/reauthenticate/", {"password": PASSWORD})
    assert leaver.get("/account/erase/").status_code == 200

    assert leaver.post("/account/erase/", {"typed": "alice"}).status_code == 302

    assert leaver.get("/account/").status_code == 302
    assert User.objects.get(pk=alice.pk).state == "erased"
    assert browser(person("otto", Role.OPERATOR)).post(f"/people/{ada.pk}/erase/", {"typed": "ada"}).status_code == 404


def test_the_command_and_the_api_erase_too(ada: User, alice: User, mallory: User) -> None:
    assert shell.run("people", "erase", "alice").code == 1
    assert shell.run("people", "erase", "alice", "--confirm", "alice").code == 0
    assert Program(ada)("POST", f"people/{mallory.pk}/erase", {"username": "m"}).status_code == 400
    assert Program(ada)("POST", f"people/{mallory.pk}/erase", {"username": "mallory"}).status_code == 202

    assert User.objects.filter(erased_at=None).get() == ada


def test_archives_go_with_the_person(ada: User, zoe: User) -> None:
    row = exporting.ask(zoe, zoe)
    exporting.make(row.pk)
    assert exporting.path_of(row.pk).exists()

    erasing.erase(ada, zoe, zoe.username)

    assert not exporting.path_of(row.pk).exists()


def test_service_accounts_go_with_their_keeper(ada: User, zoe: User) -> None:
    program = service_accounts.make(zoe, f"{MARK}-nightly", "user")
    ApiToken.make(program, f"{MARK} token")
    other = service_accounts.make(ada, "of-the-team", "user", for_team=True)

    erasing.erase(ada, zoe, zoe.username)

    assert kept() == []
    assert User.objects.get(pk=program.pk).state == "erased"
    assert User.objects.get(pk=other.pk).state == "active"
