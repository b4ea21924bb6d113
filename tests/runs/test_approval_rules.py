"""A rule allows exactly what it says, as long as it says, for whom it says; never more than who made it could."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from agents import permissions
from agents.errors import Conflict, Invalid, NotFound
from agents.models import Agent, Role, SecurityEvent, User
from runs import approvals, dispatch
from runs.approvals import RuleWish
from runs.models import Approval, ApprovalRule, Run, Tier
from tests.api_client import Program
from tests.conftest import person
from tests.shell import run as shell

pytestmark = pytest.mark.django_db

HOUR_S = 3600


def start(user: User, agent: Agent) -> Run:
    return dispatch.start(user, "Hello", agent=agent).run


@pytest.fixture
def run(alice: User, atlas: Agent) -> Run:
    return start(alice, atlas)


def ask(run: Run, command: str = "rm -rf build", tier: str = Tier.USER) -> Approval:
    title = "recursive delete"
    return approvals.ask("command", subject={"command": command}, title=title, run_id=run.pk, tier=tier)


def allowed(user: User, asked: Approval, wish: RuleWish | None = None) -> ApprovalRule:
    rule = approvals.decide(user, asked, "rule", rule=wish).rule
    assert rule is not None
    return rule


def test_allowed_for_this_run_means_the_same_in_this_run(alice: User, run: Run, atlas: Agent) -> None:
    first = approvals.decide(alice, ask(run), "run")
    again, other, elsewhere = ask(run), ask(run, "rm -rf dist"), ask(start(alice, atlas))

    assert (first.state, first.choice) == ("allowed", "run")
    assert (again.state, again.choice, again.decided_via, again.decided_by) == ("allowed", "rule", "rule", alice)
    assert again.rule == first.rule
    assert (other.state, elsewhere.state) == ("pending", "pending")


def test_a_rule_of_the_agent_counts_in_every_run_of_it(alice: User, bob: User, run: Run, atlas: Agent) -> None:
    rule = allowed(alice, ask(run), RuleWish(lifetime_s=HOUR_S))

    assert rule.words == "exactly this command: rm -rf build, in every run of atlas"
    assert ask(start(bob, atlas)).rule == rule
    assert ask(start(bob, atlas), "rm -rf builds").state == "pending"
    rule.refresh_from_db()
    assert (rule.used, rule.used_at is not None) == (1, True)
    assert SecurityEvent.objects.filter(kind="approval_rule_made", actor=alice).exists()


def test_a_rule_ends_with_its_time_by_hand_or_with_the_right_of_who_made_it(
    alice: User, bob: User, run: Run, atlas: Agent
) -> None:
    permissions.grant(bob, "manage", atlas)
    mine = allowed(bob, ask(start(bob, atlas)), RuleWish(lifetime_s=HOUR_S))
    assert ask(run).state == "allowed"

    permissions.revoke(bob, "manage", atlas)
    assert ask(run).state == "pending"
    permissions.grant(bob, "manage", atlas)
    User.objects.filter(pk=bob.pk).update(is_active=False)
    assert ask(run).state == "pending"
    User.objects.filter(pk=bob.pk).update(is_active=True)
    assert ask(run).state == "allowed"
    ApprovalRule.objects.filter(pk=mine.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert ask(run).state == "pending"


def test_a_rule_is_no_wider_than_who_makes_it(alice: User, bob: User, ada: User, atlas: Agent, run: Run) -> None:
    with pytest.raises(Invalid) as too_far:
        approvals.decide(bob, ask(start(bob, atlas)), "rule", rule=RuleWish("agent", HOUR_S))
    with pytest.raises(Invalid) as too_long:
        approvals.decide(alice, ask(run, "a"), "rule", rule=RuleWish("agent", 25 * HOUR_S))
    with pytest.raises(Invalid) as far_too_long:
        approvals.decide(ada, ask(run, "b"), "rule", rule=RuleWish("agent", 31 * 24 * HOUR_S))
    with pytest.raises(Invalid):
        approvals.decide(alice, ask(run, "c"), "rule", rule=RuleWish("agent", 0))
    with pytest.raises(Invalid):
        approvals.decide(alice, ask(run, "d"), "rule", rule=RuleWish("world", HOUR_S))

    assert (too_far.value.field, too_long.value.field) == ("scope", "hours")
    assert "24 hours at most" in too_long.value.message
    assert "30 days at most" in far_too_long.value.message
    assert not ApprovalRule.objects.exists()
    assert not Approval.objects.exclude(state="pending").exists(), "a rule that cannot be decides nothing"
    assert allowed(bob, ask(start(bob, atlas)), RuleWish("run", HOUR_S)).scope == "run"
    longest = allowed(ada, ask(run, "e")).expires_at - timezone.now()
    assert timedelta(days=29) < longest <= timedelta(days=30)


def test_a_persons_rule_answers_nothing_that_is_put_to_operators(alice: User, ada: User, run: Run) -> None:
    allowed(alice, ask(run))
    put_to_operators = ask(run, tier=Tier.ADMIN)
    assert put_to_operators.state == "pending"

    allowed(ada, put_to_operators)

    assert ask(run, tier=Tier.ADMIN).state == "allowed"


def test_rules_are_seen_and_ended_by_who_made_them_and_who_manages_the_agent(
    alice: User, bob: User, mallory: User, ada: User, viewer: User, atlas: Agent
) -> None:
    bobs = allowed(bob, ask(start(bob, atlas)), RuleWish("run", HOUR_S))
    alices = allowed(alice, ask(start(alice, atlas)))
    stranger = person("orla", Role.OPERATOR)

    assert {user.username: set(approvals.rules_seen_by(user)) for user in (alice, bob, mallory, viewer, ada, stranger)} == {
        "alice": {alices},
        "bob": {bobs},
        "mallory": set(),
        "viewer": set(),
        "ada": {alices, bobs},
        "orla": set(),
    }  # fmt: skip
    for user, rule in ((mallory, alices), (bob, alices), (alice, bobs), (stranger, bobs)):
        with pytest.raises(NotFound):
            approvals.revoke(user, rule.pk)

    ended = approvals.revoke(alice, alices.pk)

    assert ended.revoked_by == alice
    assert ask(start(alice, atlas)).state == "pending"
    with pytest.raises(Conflict):
        approvals.revoke(alice, alices.pk)
    assert approvals.revoke(ada, bobs.pk).revoked_at is not None
    assert SecurityEvent.objects.filter(kind="approval_rule_ended").count() == 2


def test_programs_make_list_and_end_rules(alice: User, mallory: User, run: Run) -> None:
    program, asked = Program(alice), ask(run)
    decided = program.post(
        f"approvals/{asked.pk}", {"choice": "rule", "rule": {"scope": "agent", "hours": 2}, "note": "For the build."}
    )
    assert (decided["state"], decided["choice"], decided["note"]) == ("allowed", "rule", "For the build.")

    (rule,) = program.get("approvals/rules")["items"]
    assert (rule["scope"], rule["made_by"], rule["words"].endswith("in every run of atlas")) == ("agent", "alice", True)
    assert Program(mallory).get("approvals/rules")["items"] == []
    path = f"approvals/rules/{rule['id']}"
    assert Program(mallory)("DELETE", path).status_code == 404
    assert program("DELETE", path).json()["revoked_at"] is not None
    assert program.get("approvals/rules")["items"] == []
    assert len(program.get("approvals/rules?ended=true")["items"]) == 1
    assert program("DELETE", path).status_code == 409


def test_at_a_terminal(alice: User, ada: User, run: Run) -> None:
    asked = ask(run, "rm -rf build \x1b[2J")
    assert asked.pk in shell("approvals", "list").out
    assert "rm -rf build [2J" in shell("approvals", "show", asked.pk).out
    assert "30 days at most" in shell("approvals", "decide", asked.pk, "rule", "--hours", "9999").said
    done = shell("approvals", "decide", asked.pk, "rule", "--hours", "1", "--user", "alice")
    assert done.said.startswith("Allowed: exactly this command: rm -rf build")
    asked.refresh_from_db()
    assert (asked.decided_by, asked.decided_via) == (alice, "command")
    rule = ApprovalRule.objects.get()
    assert rule.pk in shell("approvals", "rules").out
    assert shell("approvals", "revoke", rule.pk, "--user", "alice").said.startswith("Ended: ")
    assert "already decided by alice" in shell("approvals", "decide", asked.pk, "deny").said
