"""While it takes two, new policies, policies for agents, and looser rules of tools and of the gate wait, at every door."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import transaction
from django.test import Client

from agents import composition, duplicating, four_eyes, gate_rules, permissions, policies, rule_lines
from agents.editing import editing
from agents.errors import Conflict, LogosError
from agents.models import Agent, GateRule, Policy, Role, User
from runs import approvals
from runs.models import Approval
from sandboxes.tool_server import catalogue, loosening, rules
from sandboxes.tool_server.deciding import Rule
from sandboxes.tool_server.models import ToolRule
from tests import shell
from tests.api_client import Program
from tests.conftest import person
from tests.console import Console

pytestmark = pytest.mark.django_db

GATE = {
    "name": "cloud",
    "severity": "high",
    "answer": "operators",
    "sentence": "Cloud.",
    "when": {"program": "terraform"},
}


@pytest.fixture
def otto(atlas: Agent) -> User:
    otto = person("otto", Role.OPERATOR)
    permissions.grant(otto, "manage", atlas)
    return otto


@pytest.fixture
def policy(ada: User, otto: User) -> Policy:
    made = policies.create(ada, "Reach", rule_lines.read("pypi.org"), visibility="shared")
    permissions.grant(otto, "edit", made)
    return made


@pytest.fixture
def two(ada: User, policy: Policy) -> None:
    """From now on it takes two."""
    four_eyes.switch(ada, True)


def waiting() -> Approval:
    return Approval.objects.get(kind="policy_proposal", state="pending")


def agree(user: User) -> None:
    approvals.decide(user, waiting(), "once")


def test_a_new_policy_that_allows_something_waits_and_is_its_writer_s(ada: User, otto: User, two: None) -> None:
    with pytest.raises(four_eyes.SecondPerson) as refused:
        policies.create(otto, "New", rule_lines.read("github.com"), description="Mine.")

    asked = waiting()
    assert refused.value.approval_id == asked.pk
    assert asked.subject["newly_allowed"] == "github.com : 443"
    assert not Policy.objects.filter(name="New").exists()
    with pytest.raises(LogosError, match="somebody else decides"):
        approvals.decide(otto, asked, "once")
    agree(ada)
    made = Policy.objects.get(name="New")
    assert (made.owner, made.description, made.hosts) == (otto, "Mine.", ["github.com"])


def test_a_new_policy_that_allows_nothing_is_written_at_once(otto: User, two: None) -> None:
    policies.create(otto, "Denials", rule_lines.read("deny evil.example"))
    policies.create(otto, "Empty")

    assert not Approval.objects.exists()


def test_a_new_policy_by_page_program_shell_and_console(
    ada: User, otto: User, two: None, browser: Callable[..., Client], tmp_path: object
) -> None:
    form = {"name": "By page", "rules": "a.example", "visibility": "private"}
    page = browser(otto).post("/policies/new/", form)
    assert page.status_code == 400
    assert "a second person has to agree" in page.content.decode()
    answer = Program(otto)("POST", "policies", {"name": "By program", "rules": [{"hosts": ["a.example"]}]})
    assert (answer.status_code, answer.json()["error"]["reason"]) == (409, "second_person")
    file = tmp_path / "rules.txt"  # type: ignore[operator]
    file.write_text("a.example")
    assert shell.run("policy", "create", "By shell", "--file", str(file), "--user", "otto").code == 1
    assert Approval.objects.filter(kind="policy_proposal", state="pending").count() == 3
    Console(ada).save(Policy, name="By console", rules="a.example", visibility="private", owner=str(ada.pk))
    assert list(Policy.objects.values_list("name", flat=True)) == ["Reach"]


def test_giving_an_agent_a_policy_waits_and_the_rest_of_the_change_is_not_made(
    ada: User, alice: User, atlas: Agent, policy: Policy, two: None
) -> None:
    with (
        pytest.raises(four_eyes.SecondPerson),
        editing(alice, "agent.edit", Agent.objects.all(), atlas.pk, None) as now,
    ):
        composition.change(alice, now, name="Renamed", policies=[policy])

    atlas.refresh_from_db()
    assert (atlas.name, atlas.policies.count()) == ("atlas", 0)
    assert waiting().subject["newly_allowed"] == "Reach: pypi.org : 443"
    agree(ada)
    assert list(atlas.policies.all()) == [policy]


def test_giving_by_program_page_console_and_the_rows_is_no_way_round(
    ada: User, alice: User, atlas: Agent, policy: Policy, two: None
) -> None:
    answer = Program(alice)("PATCH", f"agents/{atlas.pk}", {"version": atlas.version, "policy_ids": [policy.pk]})
    assert (answer.status_code, answer.json()["error"]["reason"]) == (409, "second_person")
    assert waiting().agent == atlas
    Console(ada).save(atlas, policies=[policy.pk])
    for give in (
        lambda: atlas.policies.add(policy),
        lambda: atlas.policies.set([policy]),
        lambda: policy.agents.add(atlas),
    ):
        with pytest.raises(four_eyes.SecondPerson), transaction.atomic():
            give()
    with pytest.raises(four_eyes.SecondPerson, match="second person"):
        composition.create(alice, "Other", atlas.soul, policies=[policy])
    assert not Agent.objects.filter(policies=policy).exists()


@pytest.mark.parametrize("kept", ["a denial", "a rule of the gate"])
def test_a_policy_that_keeps_something_from_an_agent_is_not_taken_away(
    ada: User, otto: User, atlas: Agent, policy: Policy, kept: str
) -> None:
    harmless = policies.create(ada, "Wide", rule_lines.read("github.com"), visibility="shared")
    if kept == "a denial":
        policies.change(ada, policy.pk, policy.version, rules=rule_lines.read("pypi.org\ndeny evil.example"))
    else:
        gate_rules.create(ada, policy, **GATE)
    atlas.policies.add(policy, harmless)
    four_eyes.switch(ada, True)
    program = Program(otto)

    atlas.refresh_from_db()
    answer = program("PATCH", f"agents/{atlas.pk}", {"policy_ids": [harmless.pk], "version": atlas.version})
    assert (answer.status_code, answer.json()["error"]["reason"]) == (409, "second_person")
    for door in (atlas.policies.clear, lambda: policy.agents.remove(atlas), lambda: atlas.policies.set([])):
        with pytest.raises(four_eyes.SecondPerson), transaction.atomic():
            door()
    assert set(atlas.policies.all()) == {policy, harmless}

    answer = program("PATCH", f"agents/{atlas.pk}", {"policy_ids": [policy.pk], "version": atlas.version})
    assert answer.status_code == 200, answer.json()
    assert set(atlas.policies.all()) == {policy}


def test_a_copy_has_no_policies_and_says_so(ada: User, alice: User, atlas: Agent, policy: Policy) -> None:
    atlas.policies.add(policy)
    four_eyes.switch(ada, True)

    copy = duplicating.duplicate(alice, atlas, "Copy", prepare=False)

    assert not copy.policies.exists()
    assert "Policies are not copied: giving one takes a second person here." in duplicating.omissions(alice, atlas)


def test_what_was_wished_is_not_done_when_the_wisher_lost_the_right(
    ada: User, alice: User, otto: User, atlas: Agent, policy: Policy, two: None
) -> None:
    with pytest.raises(four_eyes.SecondPerson), editing(otto, "agent.edit", Agent.objects.all(), atlas.pk, None) as now:
        composition.change(otto, now, policies=[policy])
    permissions.revoke(otto, "manage", atlas)

    with pytest.raises(Conflict, match="may not do this any more"):
        agree(ada)

    assert (waiting().state, atlas.policies.count()) == ("pending", 0)


def test_looser_tool_rules_wait_and_tighter_ones_do_not(
    ada: User, alice: User, atlas: Agent, otto: User, two: None
) -> None:
    block = rules.put(alice, atlas, tool="git.*", tier="block")
    with pytest.raises(four_eyes.SecondPerson):
        rules.put(alice, atlas, tool="git.*", tier="allow")
    asked = waiting()
    assert (asked.subject["before"], asked.subject["after"]) == ("Block: git.*", "Allow: git.*")
    approvals.decide(otto, asked, "once")
    block.refresh_from_db()
    assert block.tier == "allow"

    rules.put(ada, None, tool="filesystem.delete", tier="block", layer="site")
    with pytest.raises(four_eyes.SecondPerson):
        rules.remove(ada, ToolRule.objects.get(tool="filesystem.delete"))
    other = person("olga", Role.ADMIN)
    with pytest.raises(LogosError):
        approvals.decide(otto, waiting(), "once")
    approvals.decide(other, waiting(), "once")
    assert not ToolRule.objects.filter(tool="filesystem.delete").exists()


def test_looser_tool_rules_by_every_door(ada: User, atlas: Agent, two: None, browser: Callable[..., Client]) -> None:
    block = rules.put(ada, None, tool="git.push", tier="block", layer="site")
    answer = Program(ada)("POST", "tool-rules", {"tool": "git.push", "tier": "allow"})
    assert (answer.status_code, answer.json()["error"]["reason"]) == (409, "second_person")
    assert Program(ada)("DELETE", f"tool-rules/{block.pk}").status_code == 409
    page = browser(ada).post("/tools/", {"tool": "git.push", "tier": "ask", "layer": "site"})
    assert page.status_code in (400, 409)
    browser(ada).post("/tools/", {"remove": block.pk})
    shell.run("tools", "allow", "-", "git.push", "--user", "ada")
    Console(ada).act(ToolRule, "remove", block, confirmed="yes")
    block.refresh_from_db()
    assert block.tier == "block"


def test_weaker_gate_rules_wait_and_stricter_ones_do_not(
    ada: User, otto: User, policy: Policy, two: None, browser: Callable[..., Client]
) -> None:
    row = gate_rules.create(otto, policy, **GATE)
    gate_rules.change(otto, row.pk, 1, answer="nobody")
    with pytest.raises(four_eyes.SecondPerson):
        gate_rules.change(otto, row.pk, 2, answer="person")
    agree(ada)
    row.refresh_from_db()
    assert row.answer == "person"

    assert Program(otto)("DELETE", f"gate/rules/{row.pk}").json()["error"]["reason"] == "second_person"
    browser(otto).post(f"/approvals/gate/rules/{row.pk}/delete/", {"confirmed": "yes"})
    shell.run("gate", "remove", "cloud", "--user", "otto")
    Console(ada).act(GateRule, "remove", row, confirmed="yes")
    assert GateRule.objects.filter(pk=row.pk).exists()
    agreed = Approval.objects.filter(asked_for=otto, state="pending").get()
    approvals.decide(ada, agreed, "once")
    assert not GateRule.objects.exists()


def test_strangers_see_no_wish(otto: User, mallory: User, alice: User, policy: Policy, two: None) -> None:
    row = gate_rules.create(otto, policy, **GATE)
    with pytest.raises(four_eyes.SecondPerson):
        gate_rules.remove(otto, row.pk)
    with pytest.raises(four_eyes.SecondPerson):
        policies.create(otto, "New", rule_lines.read("github.com"))

    for stranger in (mallory, alice):
        assert not approvals.open_for(stranger).filter(kind="policy_proposal").exists()
    seen = approvals.open_for(person("olga", Role.OPERATOR)).filter(kind="policy_proposal")
    assert [each.subject["what"] for each in seen] == ["policy_new"]


def a_rule(tier: str, tool: str = "git.push", layer: str = "site", **more: int) -> Rule:
    return Rule("r", layer, tool, tier, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("others", "gone", "made", "is_looser"),
    [
        ([], None, a_rule("block"), False),
        ([], None, a_rule("allow"), True),  # git.push asks by itself
        ([], None, a_rule("allow", "git.log"), False),
        ([], None, a_rule("allow", layer="agent"), False),
        ([a_rule("block", "git.*", "agent")], None, a_rule("ask", layer="agent"), True),
        ([a_rule("block", "git.*", "agent")], None, a_rule("block", layer="agent"), False),
        ([], a_rule("block"), None, True),
        ([], a_rule("allow"), None, False),
        ([a_rule("allow", "*")], a_rule("ask"), None, True),
        ([], a_rule("ask", layer="agent"), None, True),
        ([], a_rule("ask"), a_rule("block"), False),
        ([], a_rule("block", per_minute=5), a_rule("block", per_minute=9), True),
        ([], a_rule("block", per_minute=5), a_rule("block"), True),
        ([], a_rule("block", per_minute=5), a_rule("block", per_minute=3), False),
        ([], None, a_rule("block", per_minute=99_999), True),
        ([], None, a_rule("ask", "mcp:github.*"), True),  # its own tier may be any
        ([], None, a_rule("block", "mcp:github.*"), False),
        ([], a_rule("ask", "mcp:github.*"), None, True),
        ([a_rule("block", "mcp:*", "agent")], None, a_rule("allow", "mcp:a.b", "agent"), True),
        ([a_rule("block", "git.*", "agent")], None, a_rule("allow", "mcp:a.b", "agent"), False),
        ([], a_rule("block", "mcp:a.b", per_hour=5), a_rule("block", "mcp:a.b", per_hour=4), False),
    ],
)
def test_looser_is_said_rather_too_often(
    others: list[Rule], gone: Rule | None, made: Rule | None, is_looser: bool
) -> None:
    assert loosening.loosens(others, gone, made) is is_looser
    assert catalogue.BY_NAME["git.push"].tier == "ask"
