"""Accounts and rules for policies wait in the same inbox, and a decision there does what it says."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents import permissions, registration
from agents.errors import Conflict, Invalid, NotFound
from agents.models import Agent, Policy, Role, User
from runs import applications, approvals, proposed_rules
from runs.models import Approval
from tests.api_client import Program
from tests.conftest import PASSWORD, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def maya(settings: Any) -> User:
    """Somebody who asked for an account."""
    settings.LOGOS_REGISTRATION = "approval"
    registration.apply(username="maya", password=PASSWORD, email="maya@example.org", note="From the lab.")
    return User.objects.get(username="maya")


def put(maya: User) -> Approval:
    assert applications.settle() == 1
    return Approval.objects.get(kind="registration")


def test_who_waits_for_an_account_is_put_to_admins_once(maya: User, ada: User, alice: User) -> None:
    asked = put(maya)

    assert applications.settle() == 0
    assert (asked.title, asked.purpose) == ("An account for maya", "From the lab.")
    assert list(approvals.open_for(ada)) == [asked]
    assert not approvals.open_for(alice).exists()
    assert not approvals.seen_by(alice).exists()
    with pytest.raises(NotFound):
        approvals.decide(alice, asked, "once")


@pytest.mark.parametrize(("choice", "state", "is_active"), [("once", "active", True), ("deny", "refused", False)])
def test_deciding_lets_in_or_refuses_and_forgets_what_was_written(
    maya: User, ada: User, choice: str, state: str, is_active: bool
) -> None:
    asked = approvals.decide(ada, put(maya), choice, note="Welcome")

    maya.refresh_from_db()
    asked.refresh_from_db()
    assert maya.is_active is is_active
    assert not registration.waiting().exists()
    assert "maya" not in f"{asked.subject} {asked.title} {asked.purpose}"
    assert applications.settle() == 0


@pytest.mark.parametrize(("let_in", "state"), [(True, "allowed"), (False, "denied")])
def test_an_answer_in_the_queue_of_people_answers_the_request(maya: User, ada: User, let_in: bool, state: str) -> None:
    asked = put(maya)

    (registration.approve if let_in else registration.refuse)(ada, maya)

    asked.refresh_from_db()
    assert (asked.state, asked.decided_by, asked.decided_via) == (state, ada, "people")
    with pytest.raises(Conflict, match="already decided by ada"):
        approvals.decide(ada, asked, "deny")


def test_looking_for_applications_costs_two_queries_when_there_are_none(ada: User) -> None:
    with CaptureQueriesContext(connection) as captured:
        applications.settle()

    assert len(captured) == 2


@pytest.fixture
def policy(ada: User, alice: User, atlas: Agent) -> Policy:
    """Of the agent, and for Alice to see."""
    policy = Policy.objects.create(name="Web", owner=ada, rules=[{"name": "docs", "hosts": ["docs.example.org"]}])
    atlas.policies.add(policy)
    permissions.grant(alice, "view", policy)
    return policy


def propose(user: User, agent: Agent, policy: Policy, *lines: str) -> Approval:
    return proposed_rules.send(user, agent.pk, policy.pk, lines or ["pypi.org by /usr/bin/pip"], "To install")


def test_who_may_edit_the_policy_decides_what_others_propose(
    alice: User, ada: User, mallory: User, policy: Policy, atlas: Agent
) -> None:
    otto, orla = person("otto", Role.OPERATOR), person("orla", Role.OPERATOR)
    permissions.grant(otto, "edit", policy)
    permissions.grant(orla, "manage", atlas)
    asked = propose(alice, atlas, policy)

    assert asked.subject["add"] == ["pypi.org by /usr/bin/pip"]
    assert propose(alice, atlas, policy) == asked
    for nobody in (alice, orla, mallory):
        assert asked not in approvals.open_for(nobody)
        with pytest.raises(NotFound):
            approvals.decide(nobody, asked, "once")
    with CaptureQueriesContext(connection) as captured:
        assert approvals.count_for(otto) == 1
    assert len(captured) == 1

    approvals.decide(otto, asked, "once")

    policy.refresh_from_db()
    assert [rule["hosts"] for rule in policy.rules] == [["docs.example.org"], ["pypi.org"]]
    assert policy.history.first().history_user == otto or policy.version == 2


def test_a_policy_that_changed_since_is_not_changed_by_an_old_proposal(
    alice: User, ada: User, policy: Policy, atlas: Agent
) -> None:
    asked = propose(alice, atlas, policy)
    policy.rules = []
    policy.save()

    with pytest.raises(Conflict) as refused:
        approvals.decide(ada, asked, "once")

    assert refused.value.reason == "changed"
    asked.refresh_from_db()
    policy.refresh_from_db()
    assert (asked.state, policy.rules) == ("pending", [])
    assert approvals.decide(ada, asked, "deny").state == "denied"


@pytest.mark.parametrize("lines", [[], ["  "], ["169.254.169.254"], ["not a host!"], ["a.example.org"] * 201])
def test_a_proposal_that_is_none_is_refused(alice: User, policy: Policy, atlas: Agent, lines: list[str]) -> None:
    with pytest.raises(Invalid):
        proposed_rules.send(alice, atlas.pk, policy.pk, lines)

    assert not Approval.objects.exists()


def test_programs_send_proposals(alice: User, mallory: User, bob: User, policy: Policy, atlas: Agent) -> None:
    body = {"policy_id": policy.pk, "lines": ["pypi.org"]}

    assert Program(alice).post(f"agents/{atlas.pk}/proposal", body, 201)["kind"] == "policy_proposal"
    for stranger in (mallory, bob):
        Program(stranger).post(f"agents/{atlas.pk}/proposal", body, 404)
