"""A second person for what newly allows something: nothing wider is saved by anybody alone, by whichever door."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import transaction
from django.test import Client

from agents import four_eyes, permissions, policies, preset_library, rule_lines
from agents.errors import Conflict, LogosError
from agents.models import Agent, Policy, Preset, Role, SecurityEvent, User
from agents.reach import parse
from runs import approvals
from runs.models import Approval
from tests import shell
from tests.api_client import Program
from tests.conftest import person

pytestmark = pytest.mark.django_db


@pytest.fixture
def otto(db: None) -> User:
    return person("otto", Role.OPERATOR)


@pytest.fixture
def policy(ada: User, otto: User, atlas: Agent) -> Policy:
    made = policies.create(ada, "Reach", rule_lines.read("pypi.org\ndeny evil.example"))
    permissions.grant(otto, "edit", made)
    atlas.policies.add(made)
    four_eyes.switch(ada, True)
    return made


def wider(policy: Policy, user: User, lines: str = "pypi.org\ndeny evil.example\ngithub.com") -> Approval:
    with pytest.raises(four_eyes.SecondPerson) as refused:
        policies.change(user, policy.pk, policy.version, rules=rule_lines.read(lines))
    return Approval.objects.get(pk=refused.value.approval_id)


def hosts(policy: Policy) -> set[str]:
    policy.refresh_from_db()
    return {rule["hosts"][0] for rule in policy.rules if rule["effect"] == "allow"}


@pytest.mark.parametrize(
    ("old", "new", "is_wider"),
    [
        ("a.example", "a.example", False),
        ("a.example", "a.example\nb.example", True),
        ("a.example\nb.example", "a.example", False),
        ("a.example", "a.example : 443, 8443", True),
        ("a.example : 443 by /usr/bin/git", "a.example", True),
        ("a.example", "a.example : 443 by /usr/bin/git", True),  # said too often: the program is a new way
        ("deny a.example", "", True),
        ("", "deny a.example", False),
        ("a.example", "*.a.example", True),
        ("", "", False),
    ],
)
def test_wider_is_any_way_that_was_not_there(old: str, new: str, is_wider: bool) -> None:
    rules = [parse(policies.clean_rules(rule_lines.read(each))) for each in (old, new)]

    assert four_eyes.widens(*rules) is is_wider


def test_what_allows_more_waits_and_is_carried_out_when_somebody_else_agrees(
    ada: User, otto: User, policy: Policy
) -> None:
    asked = wider(policy, otto)
    assert hosts(policy) == {"pypi.org"}
    assert asked.subject["newly_allowed"] == "github.com : 443"
    with pytest.raises(LogosError, match="somebody else decides"):
        approvals.decide(otto, asked, "once")

    approvals.decide(ada, asked, "once")

    assert hosts(policy) == {"pypi.org", "github.com"}
    asked.refresh_from_db()
    assert (asked.state, asked.decided_by) == ("allowed", ada)


def test_denied_it_is_not_carried_out(ada: User, otto: User, policy: Policy) -> None:
    approvals.decide(ada, wider(policy, otto), "deny", note="Not this host.")

    assert hosts(policy) == {"pypi.org"}


def test_the_same_change_saved_twice_waits_once(otto: User, policy: Policy) -> None:
    assert wider(policy, otto).pk == wider(policy, otto).pk


def test_what_only_takes_away_is_saved_at_once(otto: User, policy: Policy) -> None:
    policies.change(otto, policy.pk, policy.version, rules=rule_lines.read("deny evil.example"), name="Less")

    assert hosts(policy) == set()
    assert not Approval.objects.exists()


def test_taking_a_denial_out_waits_too(otto: User, policy: Policy) -> None:
    assert wider(policy, otto, "pypi.org").subject["newly_allowed"] == "no longer denied: evil.example : 443"


def test_a_policy_that_changed_meanwhile_is_not_overwritten(ada: User, otto: User, policy: Policy) -> None:
    asked = wider(policy, otto)
    policies.change(ada, policy.pk, policy.version, description="Newer")

    with pytest.raises(Conflict):
        approvals.decide(ada, asked, "once")

    asked.refresh_from_db()
    assert (asked.state, hosts(policy)) == ("pending", {"pypi.org"})


def test_who_may_not_edit_the_policy_does_not_see_the_proposal(otto: User, policy: Policy, mallory: User) -> None:
    asked = wider(policy, otto)
    other = person("other", Role.OPERATOR)

    assert asked not in approvals.open_for(other)
    assert asked not in approvals.open_for(mallory)
    with pytest.raises(LogosError):
        approvals.decide(other, asked, "once")


def test_presets_and_the_rows_themselves_are_no_way_round(ada: User, otto: User, policy: Policy) -> None:
    preset = Preset.objects.create(id="web", name="Web", rules=policies.clean_rules(rule_lines.read("a.example")))
    with pytest.raises(four_eyes.SecondPerson):
        policies.change(otto, policy.pk, policy.version, preset_ids=["web"])
    with pytest.raises(four_eyes.SecondPerson), transaction.atomic():
        policy.presets.add(preset)
    with pytest.raises(four_eyes.SecondPerson), transaction.atomic():
        preset_library.change(ada, "web", preset.version, rules=policies.clean_rules(rule_lines.read("b.example")))
    policy.rules = policies.clean_rules(rule_lines.read("c.example"))
    with pytest.raises(four_eyes.SecondPerson), transaction.atomic():
        policy.save()


def test_switched_off_one_person_is_enough_and_only_admins_switch(
    ada: User, otto: User, policy: Policy, browser: Callable[..., Client]
) -> None:
    assert Program(otto)("PUT", "policies/four-eyes", {"on": False}).status_code in (403, 404)
    assert browser(otto).post("/policies/four-eyes/", {"on": "no"}).status_code in (403, 404)
    assert four_eyes.is_on()
    assert "Let one person be enough" in browser(ada).get("/policies/").content.decode()

    assert shell.run("policy", "four-eyes", "off").code == 0

    policies.change(otto, policy.pk, policy.version, rules=rule_lines.read("github.com"))
    assert hosts(policy) == {"github.com"}
    assert list(SecurityEvent.objects.filter(kind__startswith="four").values_list("kind", flat=True)) == [
        "four_eyes_off",
        "four_eyes_on",
    ]


def test_the_page_says_that_it_waits_and_keeps_the_draft(
    otto: User, policy: Policy, browser: Callable[..., Client]
) -> None:
    form = {"name": "Reach", "rules": "pypi.org\ndeny evil.example\ngithub.com", "version": policy.version}

    answer = browser(otto).post(f"/policies/{policy.pk}/", form)

    assert answer.status_code == 400
    shown = answer.content.decode()
    assert "a second person has to agree" in shown
    assert "github.com" in shown
    assert Approval.objects.count() == 1


def test_the_history_of_a_change_keeps_what_it_would_have_done(ada: User, policy: Policy) -> None:
    policies.change(ada, policy.pk, policy.version, rules=rule_lines.read("deny evil.example"))

    assert policy.history.latest().history_change_reason == "Nothing was recorded in 7 days to try it on."
