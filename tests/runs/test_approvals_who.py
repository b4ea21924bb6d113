"""Who may decide which request: the person whose run it is, operators and admins, and never the asker alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents import permissions, privacy
from agents.errors import Conflict, LogosError, NotFound
from agents.models import Agent, Role, SecurityEvent, User
from runs import approvals, dispatch
from runs.models import Approval, ApprovalKind, ApprovalState, Run, Tier
from tests.conftest import person

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(alice: User, atlas: Agent) -> Run:
    return dispatch.start(alice, "Hello", agent=atlas).run


@pytest.fixture
def otto(atlas: Agent) -> User:
    """An operator who manages the agent."""
    otto = person("otto", Role.OPERATOR)
    permissions.grant(otto, "manage", atlas)
    return otto


def ask(run: Run, tier: str = Tier.USER, kind: str = ApprovalKind.TOOL_CALL, **more: Any) -> Approval:
    subject = more.pop("subject", {"tool": "process.run", "args": {"command": "make"}})
    return approvals.ask(kind, subject=subject, title="Runs make", run_id=run.pk, tier=tier, **more)


def test_what_is_asked_belongs_to_the_run_its_agent_and_its_person(run: Run, alice: User, atlas: Agent) -> None:
    asked = ask(run, purpose="To build it", findings=[{"rule": "r", "severity": "high", "sentence": "It builds."}])

    asked.refresh_from_db()
    assert (asked.agent, asked.asked_for, asked.run_id, asked.state) == (atlas, alice, run.pk, "pending")
    assert (asked.purpose, asked.findings) == (
        "To build it",
        [{"rule": "r", "severity": "high", "sentence": "It builds."}],
    )
    assert asked.exact == 'tool: process.run\nargs: {"command": "make"}'


def test_a_kind_nobody_knows_is_a_mistake(run: Run) -> None:
    with pytest.raises(KeyError):
        ask(run, kind="party")


def test_the_person_decides_what_is_theirs_and_operators_what_is_put_to_them(
    run: Run, alice: User, ada: User, bob: User, mallory: User, viewer: User, otto: User
) -> None:
    theirs, operators = ask(run), ask(run, Tier.ADMIN)
    stranger = person("orla", Role.OPERATOR)

    assert {user.username: set(approvals.open_for(user)) for user in (alice, ada, otto, bob, mallory, viewer, stranger)} == {
        "alice": {theirs},
        "ada": {theirs, operators},
        "otto": {operators},
        "bob": set(),
        "mallory": set(),
        "viewer": set(),
        "orla": set(),
    }  # fmt: skip
    for user in (bob, mallory, viewer, stranger):
        for asked in (theirs, operators):
            with pytest.raises(NotFound):
                approvals.decide(user, asked, "once")
    with pytest.raises(NotFound):
        approvals.decide(otto, theirs, "once")
    with pytest.raises(NotFound):
        approvals.decide(alice, operators, "once")
    assert not Approval.objects.exclude(state=ApprovalState.PENDING).exists()

    assert approvals.decide(otto, operators, "once").decided_by == otto
    assert approvals.decide(alice, theirs, "once").decided_by == alice


def test_an_admin_who_may_not_read_chats_decides_what_is_put_to_admins_and_nothing_else(run: Run, ada: User) -> None:
    theirs, operators = ask(run), ask(run, Tier.ADMIN)
    privacy.switch(ada, True)

    assert list(approvals.open_for(ada)) == [operators]
    with pytest.raises(NotFound):
        approvals.decide(ada, theirs, "deny")


def test_nobody_allows_alone_what_their_own_run_asks_of_operators(ada: User, atlas: Agent) -> None:
    person("second-admin", Role.ADMIN)
    asked = ask(dispatch.start(ada, "Hello", agent=atlas).run, Tier.ADMIN)

    assert list(approvals.open_for(ada)) == []
    with pytest.raises(LogosError) as refused:
        approvals.decide(ada, asked, "once")

    assert refused.value.reason == "own_request"
    assert approvals.decide(User.objects.get(username="second-admin"), asked, "once").decided_alone is False


def test_the_only_admin_may_and_the_record_says_so(ada: User, atlas: Agent) -> None:
    person("suspended", Role.ADMIN)
    User.objects.filter(username="suspended").update(is_active=False)
    asked = ask(dispatch.start(ada, "Hello", agent=atlas).run, Tier.ADMIN)

    assert list(approvals.open_for(ada)) == [asked]
    assert approvals.decide(ada, asked, "once").decided_alone is True
    noted = SecurityEvent.objects.get(kind="approval_decided")
    assert (noted.actor, noted.detail["alone"]) == (ada, True)


def test_an_operator_never_decides_what_their_own_run_asks(ada: User, otto: User, atlas: Agent) -> None:
    User.objects.filter(role=Role.ADMIN).update(is_active=False)
    asked = ask(dispatch.start(otto, "Hello", agent=atlas).run, Tier.ADMIN)

    assert list(approvals.open_for(otto)) == []
    with pytest.raises(LogosError, match="somebody else"):
        approvals.decide(otto, asked, "once")


@pytest.mark.parametrize("change", ["suspended", "viewer", "the grant"])
def test_the_right_counts_that_somebody_has_when_they_decide(run: Run, otto: User, atlas: Agent, change: str) -> None:
    asked = ask(run, Tier.ADMIN)
    assert approvals.open_for(otto).exists()
    if change == "suspended":
        User.objects.filter(pk=otto.pk).update(is_active=False)
    elif change == "viewer":
        User.objects.filter(pk=otto.pk).update(role=Role.VIEWER)
    else:
        permissions.revoke(otto, "manage", atlas)
    now = User.objects.get(pk=otto.pk)

    with pytest.raises(NotFound):
        approvals.decide(now, asked, "once")


def test_accounts_are_for_who_manages_people(ada: User, alice: User, otto: User) -> None:
    asked = approvals.ask(ApprovalKind.REGISTRATION, subject={"name": "maya"}, title="An account", tier=Tier.ADMIN)

    assert [list(approvals.open_for(user)) for user in (ada, otto, alice)] == [[asked], [], []]
    assert asked.expires_at > timezone.now() + timedelta(days=300)
    with pytest.raises(NotFound):
        approvals.decide(otto, asked, "once")
    with pytest.raises(LogosError):
        approvals.decide(ada, asked, "rule")


def test_lists_are_oldest_first_and_one_query_however_many_there_are(run: Run, ada: User) -> None:
    first, second = ask(run), ask(run, Tier.ADMIN)

    def queries(count: int) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert [len(list(approvals.open_for(ada))), approvals.count_for(ada)] == [count, count]
        return len(captured)

    few = queries(2)
    for number in range(6):
        ask(run, subject={"tool": str(number)})

    assert queries(8) == few == 2
    assert list(approvals.open_for(ada))[:2] == [first, second]


def test_a_decision_does_what_its_kind_says_or_nothing_at_all(
    run: Run, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, str]] = []
    monkeypatch.setitem(
        approvals.KINDS, "mcp_access", approvals.KINDS["mcp_access"]
    )  # what is registered here is gone after the test
    approvals.register("mcp_access", on_decided=lambda asked: done.append((asked.state, asked.choice)))
    first, second, third = (ask(run, kind="mcp_access", subject={"n": n}) for n in range(3))

    approvals.decide(alice, first, "once")
    Approval.objects.filter(pk=second.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    approvals.settle()
    assert done == [("allowed", "once"), ("expired", "")]

    def fail(asked: Approval) -> None:
        raise Conflict("It cannot be done.")

    approvals.register("mcp_access", on_decided=fail)
    with pytest.raises(Conflict, match="cannot be done"):
        approvals.decide(alice, third, "once")
    third.refresh_from_db()
    assert (third.state, third.decided_by) == ("pending", None)


def test_frozen_time_is_given_back_and_nobody_decides_meanwhile(run: Run, alice: User) -> None:
    asked = ask(run)
    ends = asked.expires_at
    assert approvals.freeze(Approval.objects.all()) == 1
    with pytest.raises(Conflict) as refused:
        approvals.decide(alice, asked, "once")
    assert refused.value.reason == "halted"
    Approval.objects.update(
        frozen_at=timezone.now() - timedelta(hours=1), expires_at=timezone.now() - timedelta(minutes=50)
    )
    assert approvals.settle() == 0
    assert list(approvals.open_for(alice)) == [asked]

    assert approvals.thaw(Approval.objects.all()) == 1

    asked.refresh_from_db()
    left = (asked.expires_at - timezone.now()).total_seconds()
    assert 9 * 60 < left < 11 * 60 < (ends - timezone.now()).total_seconds() + 11 * 60
    assert approvals.decide(alice, asked, "once").state == "allowed"


def test_the_refusals_say_what_happened(run: Run, alice: User) -> None:
    decided, expired, withdrawn, changed = (ask(run, subject={"n": n}) for n in range(4))
    approvals.decide(alice, decided, "once", note="Fine.", via="page", source="192.0.2.1")
    Approval.objects.filter(pk=expired.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    Approval.objects.filter(pk=withdrawn.pk).update(state=ApprovalState.WITHDRAWN)
    stale = Approval.objects.get(pk=changed.pk)
    Approval.objects.filter(pk=changed.pk).update(subject_hash="f" * 64)

    told = {}
    for asked in (decided, expired, withdrawn, stale):
        with pytest.raises(Conflict) as refused:
            approvals.decide(alice, asked, "once")
        told[refused.value.reason] = refused.value.message

    assert told["already_decided"].startswith("This was already decided by alice at ")
    assert told["already_decided"].endswith("UTC: allowed.")
    assert told["expired"].startswith("This expired at ")
    assert told["withdrawn"] == "The run ended before anybody decided."
    assert told["changed"] == "The question has changed; look at it again."
    decided.refresh_from_db()
    assert (decided.note, decided.decided_via, decided.decided_from) == ("Fine.", "page", "192.0.2.1")


@pytest.mark.parametrize("note", ["x" * 501, "a\x00b"])
def test_a_note_that_cannot_be_kept_decides_nothing(run: Run, alice: User, note: str) -> None:
    asked = ask(run)

    with pytest.raises(LogosError) as refused:
        approvals.decide(alice, asked, "deny", note=note)

    assert getattr(refused.value, "field", "") == "note"
    asked.refresh_from_db()
    assert asked.state == "pending"


def test_the_hash_binds_kind_agent_run_subject_and_rules(run: Run, alice: User) -> None:
    other = dispatch.start(alice, "Hello", agent=run.agent).run
    base = ask(run).subject_hash

    assert ask(run, purpose="another").subject_hash == base
    different = {
        ask(other).subject_hash,
        ask(run, kind="question").subject_hash,
        ask(run, policy_version="2").subject_hash,
        ask(run, subject={"tool": "process.run", "args": {"command": "make "}}).subject_hash,
    }
    assert len(different | {base}) == 5


def test_what_looks_like_a_secret_is_masked_wherever_it_stands_and_told(run: Run) -> None:
    token = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"

    asked = ask(
        run, subject={"args": {"header": f"Bearer {token}"}}, purpose=f"use {token}", known=frozenset({"swordfish1"})
    )
    named = ask(run, subject={"args": ["swordfish1"]}, known=frozenset({"swordfish1"}))

    for row in (asked, named):
        row.refresh_from_db()
        assert row.title.startswith(approvals.HIDDEN)
    assert token not in f"{asked.subject} {asked.purpose}"
    assert "swordfish1" not in str(named.subject)
