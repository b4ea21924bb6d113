"""A person decides about one command, once, while it waits, and about what was shown."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.test import TestCase
from django.utils import timezone

from agents import composition, permissions, routes, souls
from agents.errors import Conflict, Invalid, NotFound
from agents.models import Agent, Role, User
from agents.secrets import MASK
from runs import approvals, dispatch
from runs.models import Approval, ApprovalState, Run
from tests.conftest import person


@pytest.fixture
def run(alice: User, atlas: Agent) -> Run:
    return dispatch.start(alice, "Hello", agent=atlas).run


@pytest.fixture
def asked(run: Run) -> Approval:
    return approvals.request(run.pk, "rm -rf build", "deletes everything")


def test_a_question_is_written_down_with_an_end(asked: Approval, settings: pytest.FixtureRequest) -> None:
    left = (asked.expires_at - timezone.now()).total_seconds()

    assert (asked.exact, asked.title, asked.state) == ("rm -rf build", "deletes everything", ApprovalState.PENDING)
    assert settings.LOGOS_APPROVAL_TIMEOUT_S - 5 < left <= settings.LOGOS_APPROVAL_TIMEOUT_S  # type: ignore[attr-defined]
    assert approvals.is_open(asked.run_id)
    assert approvals.open_of(asked.run_id) == [asked]
    assert approvals.shown(asked) == {
        "id": asked.pk,
        "kind": "command",
        "tier": "user",
        "severity": "high",
        "command": "rm -rf build",
        "description": "deletes everything",
        "subject_hash": asked.subject_hash,
        "expires_at": asked.expires_at.isoformat(),
    }


@pytest.mark.parametrize(("choice", "state"), [("once", ApprovalState.ALLOWED), ("deny", ApprovalState.DENIED)])
def test_a_decision_is_kept_with_who_and_when_and_the_engine_is_woken(
    alice: User, asked: Approval, choice: str, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    monkeypatch.setattr(dispatch, "wake", [heard.append])

    with TestCase.captureOnCommitCallbacks(execute=True):
        decided = approvals.decide(alice, asked, choice, subject_hash=asked.subject_hash)

    assert (decided.state, decided.decided_by) == (state, alice)
    assert decided.decided_at is not None
    assert heard == [asked.run_id]


@pytest.mark.parametrize("choice", ["once", "deny"])
def test_what_was_decided_stays_decided(alice: User, asked: Approval, choice: str) -> None:
    approvals.decide(alice, asked, "deny")

    with pytest.raises(Conflict) as late:
        approvals.decide(alice, asked, choice)

    assert late.value.reason == "already_decided"
    assert Approval.objects.get().state == ApprovalState.DENIED


def test_what_has_expired_cannot_be_allowed(alice: User, asked: Approval) -> None:
    Approval.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    with pytest.raises(Conflict):
        approvals.decide(alice, asked, "once")

    assert approvals.expire(Approval.objects.all()) == 1
    assert Approval.objects.get().state == ApprovalState.EXPIRED
    assert approvals.expire(Approval.objects.all()) == 0


def test_what_still_waits_does_not_expire(asked: Approval) -> None:
    assert approvals.expire(Approval.objects.all()) == 0
    assert Approval.objects.get().state == ApprovalState.PENDING


@pytest.mark.parametrize("choice", ["", "always", "ONCE", "allowed", "session"])
def test_there_are_two_choices(alice: User, asked: Approval, choice: str) -> None:
    with pytest.raises(Invalid) as refused:
        approvals.decide(alice, asked, choice)

    assert refused.value.field == "choice"
    assert Approval.objects.get().state == ApprovalState.PENDING


def test_a_decision_about_something_else_does_not_count(alice: User, asked: Approval) -> None:
    with pytest.raises(Conflict, match="The question has changed"):
        approvals.decide(alice, asked, "once", subject_hash="0" * 64)

    assert Approval.objects.get().state == ApprovalState.PENDING


def test_the_hash_binds_run_and_command(asked: Approval, run: Run, alice: User) -> None:
    other = dispatch.start(alice, "Hello", agent=run.agent).run

    assert approvals.request(run.pk, "rm -rf build", "said otherwise").subject_hash == asked.subject_hash
    assert approvals.request(run.pk, "rm -rf dist", "").subject_hash != asked.subject_hash
    assert approvals.request(other.pk, "rm -rf build", "").subject_hash != asked.subject_hash


def test_strangers_decide_nothing(asked: Approval, atlas: Agent, mallory: User, bob: User, viewer: User) -> None:
    operator = person("operator", Role.OPERATOR)
    permissions.grant(operator, "manage", atlas)

    for stranger in (mallory, bob, viewer, operator):
        with pytest.raises(NotFound):
            approvals.decide(stranger, asked, "once")

    assert Approval.objects.get().state == ApprovalState.PENDING


def test_the_end_of_a_run_withdraws_its_questions_and_no_others(asked: Approval, run: Run, alice: User) -> None:
    decided = approvals.request(run.pk, "reboot", "")
    approvals.decide(alice, decided, "deny")
    other = approvals.request(dispatch.start(alice, "Hi", agent=run.agent).run.pk, "x", "")

    approvals.withdraw(run)

    states = dict(Approval.objects.values_list("pk", "state"))
    assert states == {asked.pk: "withdrawn", decided.pk: "denied", other.pk: "pending"}


def test_what_the_runtime_asks_is_stored_clean(run: Run) -> None:
    token = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"

    asked = approvals.request(run.pk, f"curl -H {token} \x00\ud800 x", f"{token} " + "y" * 600)

    asked.refresh_from_db()
    assert asked.exact == f"curl -H {MASK} ? x"
    assert asked.title.startswith(f"{approvals.HIDDEN} {MASK} yyy")
    assert len(asked.title) == 500


@pytest.mark.django_db(transaction=True)
def test_of_two_people_who_decide_at_once_one_decides() -> None:
    owner = person("owner")
    routes.rehearsal_route()
    agent = composition.create(owner, "atlas", souls.create("Kind", "Be kind.", owner))
    asked = approvals.request(dispatch.start(owner, "Hello", agent=agent).run.pk, "reboot", "")
    start, outcomes = threading.Barrier(2), []

    def decide(choice: str) -> None:
        try:
            mine = Approval.objects.select_related("run").get(pk=asked.pk)
            start.wait(timeout=120)
            outcomes.append(approvals.decide(owner, mine, choice).state)
        except Conflict as error:
            outcomes.append(error.reason)
        finally:
            connection.close()

    threads = [threading.Thread(target=decide, args=(choice,)) for choice in ("once", "deny")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == sorted(["already_decided", Approval.objects.get().state])


def test_who_decides_is_told_when_a_part_of_the_command_is_not_shown(run: Run) -> None:
    hiding = approvals.request(run.pk, 'echo "-----BEGIN PRIVATE KEY-----"; rm -rf /workspace', "deletes files")
    plain = approvals.request(run.pk, "rm -rf /workspace", "deletes files")

    assert MASK in hiding.exact
    assert hiding.title == f"{approvals.HIDDEN} deletes files"
    assert plain.title == "deletes files"
