"""What operators do to many rows at once, by the functions of the pages."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.utils import timezone
from django_q.models import Failure, Success, Task

from agents import permissions
from agents.models import Agent, AgentUserGrant, ApiToken, Role, SecurityEvent, User
from runs import dispatch
from runs.models import Approval, Run
from tests.conftest import person
from tests.console import Console, complaints
from tests.world import world

pytestmark = pytest.mark.django_db


def test_runs_are_stopped_after_a_question_and_ended_ones_are_named(ada: User, alice: User, atlas: Agent) -> None:
    going, ended = dispatch.start(alice, "Hello", agent=atlas).run, world(ada, 1)[Run]
    console = Console(ada)
    assert going.pk in console.question(Run, "cancel", going, ended)
    assert Run.objects.filter(cancel_requested_at=None).count() == 2

    said = console.act(Run, "cancel", going, ended, confirmed="yes")

    assert said == ["Asked to stop: 1.", f"{ended}: This run has already ended."]
    going.refresh_from_db()
    assert going.cancelled_by == ada
    assert console.act(Run, "cancel", going, confirmed="yes") == ["Asked to stop: 1."]


def test_an_operator_stops_no_run_that_they_only_see(alice: User, atlas: Agent) -> None:
    run, otto = dispatch.start(alice, "Hello", agent=atlas).run, person("otto", Role.OPERATOR)
    permissions.grant(otto, "manage", atlas)

    said = Console(otto).act(Run, "cancel", run, confirmed="yes")

    assert said == [f"You may not do this to {run}."]
    run.refresh_from_db()
    assert run.cancel_requested_at is None


def test_runs_are_exported_as_one_may_see_them(ada: User) -> None:
    rows, foreign = world(ada, 1), world(person("alice-777"), 777)
    Agent.objects.filter(pk=rows[Agent].pk).update(name="=HYPERLINK(1)")
    otto = person("otto", Role.OPERATOR)
    permissions.grant(otto, "manage", rows[Agent])

    as_json = Console(otto).post_action(Run, "export_json", rows[Run], foreign[Run])
    as_csv = Console(otto).post_action(Run, "export_csv", rows[Run], foreign[Run])

    assert [each["id"] for each in json.loads(as_json.content)] == [rows[Run].pk]
    (only,) = csv.DictReader(io.StringIO(as_csv.content.decode()))
    assert (only["id"], only["agent"], only["state"]) == (rows[Run].pk, "'=HYPERLINK(1)", "done")
    for answer in (as_json, as_csv):
        assert "attachment" in answer["Content-Disposition"]
        assert "message-1" not in answer.content.decode()


def test_approvals_are_denied_once_and_with_a_reason(ada: User, alice: User) -> None:
    asked = world(alice, 1)[Approval]
    Approval.objects.update(state="pending", expires_at=timezone.now() + timedelta(minutes=5))
    console = Console(ada)

    unsaid = console.post_action(Approval, "deny", asked, confirmed="yes", note="  ").content.decode()
    asked.refresh_from_db()
    assert asked.state == "pending"
    assert "Say why first." in unsaid
    assert console.act(Approval, "deny", asked, confirmed="yes", note="Not today.") == ["Denied: 1."]
    assert "already decided" in console.act(Approval, "deny", asked, confirmed="yes", note="Not today.")[0]
    asked.refresh_from_db()
    assert (asked.state, asked.decided_by, asked.note, asked.decided_via) == ("denied", ada, "Not today.", "console")


def test_people_are_suspended_restored_and_signed_out(ada: User, alice: User, bob: User) -> None:
    console = Console(ada)

    said = console.act(User, "suspend", alice, ada, confirmed="yes")

    assert said[0] == "Suspended: 1."
    assert "You cannot suspend yourself" in said[1]
    alice.refresh_from_db()
    assert not alice.is_active
    assert SecurityEvent.objects.filter(kind="suspended", person=alice, actor=ada).exists()
    assert console.act(User, "restore", alice, bob)[0] == "Restored: 1."
    UserSession.objects.create(user=bob, session_key="of-bob", ip="203.0.113.9")
    assert console.act(User, "sign_out", bob, confirmed="yes") == ["Signed out: 1."]
    assert not UserSession.objects.filter(user=bob).exists()


def test_sessions_end_and_their_keys_are_nowhere(ada: User, bob: User) -> None:
    session = UserSession.objects.create(user=bob, session_key="of-bob-secret", ip="203.0.113.9")
    console = Console(ada)
    for page in (console.list(UserSession), console.open(session)):
        assert "of-bob-secret" not in page.content.decode()

    assert console.act(UserSession, "end", session, confirmed="yes") == ["Ended: 1."]
    assert not UserSession.objects.filter(pk=session.pk).exists()
    assert SecurityEvent.objects.filter(kind="session_ended", person=bob).exists()


def test_tokens_are_revoked_once(ada: User, bob: User) -> None:
    token, _ = ApiToken.make(bob, "build")
    console = Console(ada)

    assert console.act(ApiToken, "revoke", token, confirmed="yes") == ["Revoked: 1."]
    assert "revoked already" in console.act(ApiToken, "revoke", token, confirmed="yes")[0]


def test_a_failed_task_is_done_again_once(ada: User) -> None:
    now = timezone.now()
    task = Task.objects.create(
        id="t" * 32, name="x", func="math.sqrt", args=(4,), started=now, stopped=now, success=False
    )
    console = Console(ada)

    assert console.act(Failure, "again", task) == ["Asked for again: 1."]
    assert not Failure.objects.exists()
    assert Success.objects.get(func="math.sqrt").result == 2.0


def test_too_many_rows_at_once_are_refused(ada: User, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.admin_acting.MOST", 1)

    assert Console(ada).act(User, "suspend", ada, alice, confirmed="yes") == ["Choose at most 1 at once."]
    alice.refresh_from_db()
    assert alice.is_active


def test_nobody_locks_themselves_out_by_the_consoles_form(alice: User, atlas: Agent) -> None:
    otto = person("otto", Role.OPERATOR)
    permissions.grant(otto, "manage", atlas)
    grants = AgentUserGrant.objects.filter(content_object=atlas).order_by("pk")
    place = [grant.user for grant in grants].index(otto)

    page = Console(otto).save(atlas, **{f"agentusergrant_set-{place}-DELETE": "on"})

    assert "You could not manage it any more after this." in complaints(page)
    assert permissions.allows(otto, "agent.manage", atlas)
    assert not SecurityEvent.objects.filter(kind="revoked").exists()


def test_a_grant_of_the_consoles_form_is_one_security_event(ada: User, mallory: User, atlas: Agent, bob: User) -> None:
    level = AgentUserGrant.objects.get(user=bob).permission_id
    new = {"agentusergrant_set-TOTAL_FORMS": "2", "agentusergrant_set-1-user": "mallory"}

    assert Console(ada).save(atlas, **new, **{"agentusergrant_set-1-permission": level}).status_code == 302

    assert permissions.allows(mallory, "agent.chat", atlas)
    (event,) = SecurityEvent.objects.filter(kind="granted", person=mallory)
    assert (event.actor, event.via) == (ada, "console")
