"""A draft of gate rules is tried on recorded commands: as they are judged live, told to whom it concerns, saved by nobody."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone

from agents import gate_rules, permissions
from agents.errors import Invalid, LogosError, NotFound
from agents.gate import own
from agents.gate.own import Own, extended
from agents.gate.rules import shipped
from agents.gate.tirith import NO_OPINION, Opinion
from agents.models import Agent, GateRule, Policy, Role, User
from runs import approvals, dispatch
from runs.models import Approval, Run
from runs.time_machine import commands
from sandboxes.foresight import ALLOW, ASK, BLOCK, OPERATORS
from sandboxes.models import ToolCall
from sandboxes.tool_server import calls
from tests import shell
from tests.api_client import Program
from tests.conftest import person

pytestmark = pytest.mark.django_db

NO_TERRAFORM = {"name": "no-terraform", "severity": "high", "answer": "nobody", "sentence": "Changes the cloud.",
                "when": {"program": ["terraform"], "first": ["apply"]}}  # fmt: skip


@pytest.fixture
def run(alice: User, atlas: Agent) -> Run:
    return dispatch.start(alice, "Hello", agent=atlas).run


@pytest.fixture
def policy(ada: User, atlas: Agent) -> Policy:
    made = Policy.objects.create(name="Cloud", owner=ada)
    atlas.policies.add(made)
    return made


def asked(run: Run, command: str, count: int = 1, opinion: Opinion = NO_OPINION) -> None:
    for _ in range(count):
        approvals.request(run.pk, command, "It asks.", opinion=opinion)


def called(agent: Agent, *argv: str, count: int = 1, run_id: str = "") -> None:
    arguments = {"argv": list(argv)}
    digest = json.dumps(arguments)[:64]
    for _ in range(count):
        ToolCall.objects.create(
            agent=agent, tool="process.run", arguments=arguments, digest=digest, key=digest, door="run", tier="ask",
            state="done", run_id=run_id, at=timezone.now() - timedelta(hours=1),
        )  # fmt: skip


def tried(user: User, *draft: dict, policy: Policy | None = None, days: int = 7) -> commands.CommandOutcome:
    return commands.replay(user, policy, commands.drafted(user, policy, draft), days)


def test_what_would_be_blocked_is_counted_by_rule_agent_and_person(ada: User, atlas: Agent, run: Run) -> None:
    asked(run, "terraform apply", 3)
    asked(run, "rm -rf build", 2)
    called(atlas, "terraform", "apply", count=4, run_id=run.pk)

    outcome = tried(ada, NO_TERRAFORM)

    assert (outcome.agents, outcome.commands, outcome.newly_blocked, outcome.unclear) == (1, 9, 7, 0)
    assert [(c.command, c.before, c.after, c.count, c.rule) for c in outcome.changes] == [
        ("terraform apply", "asks the person", "is blocked", 4, "own:no-terraform"),
        ("terraform apply", "asks the person", "is blocked", 3, "own:no-terraform"),
    ]
    assert {change.run_id for change in outcome.changes} == {run.pk}
    assert [(s.name, s.newly_blocked) for s in outcome.by_person] == [("alice", 7)]
    assert [(s.name, s.newly_blocked) for s in outcome.by_rule] == [("own:no-terraform", 7)]
    assert not GateRule.objects.exists()


def test_the_tier_goes_up_and_down(ada: User, run: Run) -> None:
    asked(run, "git push --force", 2)
    raised = {"name": "pushes", "severity": "high", "answer": "operators", "when": {"rule": ["force-push"]}}

    up = tried(ada, raised)
    gate_rules.create(ada, **raised)
    down = tried(ada)

    assert (up.newly_admin, up.no_longer_admin, up.newly_blocked) == (2, 0, 0)
    assert (down.newly_admin, down.no_longer_admin, down.newly_asked) == (0, 2, 2)
    assert "taken 2 to operators" in up.figures


def test_a_yes_that_a_person_gave_for_the_agent_counts_until_a_new_rule_falls_on_the_command(
    ada: User, run: Run
) -> None:
    waits = approvals.request(run.pk, "terraform apply", "It asks.")
    approvals.decide(ada, waits, "rule", rule=approvals.RuleWish())
    asked(run, "terraform apply", 2)
    used = Approval.objects.filter(rule__isnull=False).count()

    outcome = tried(ada, NO_TERRAFORM | {"answer": "person"})

    assert (outcome.newly_asked, outcome.newly_blocked) == (3, 0)
    assert tried(ada).changes == ()
    assert Approval.objects.filter(rule__isnull=False).count() == used


def test_a_draft_of_a_policy_is_about_its_agents_and_leaves_other_rules_in_place(
    ada: User, alice: User, atlas: Agent, policy: Policy, run: Run
) -> None:
    other = Agent.objects.create(name="Other", owner=alice, soul=atlas.soul)
    asked(run, "terraform apply")
    asked(dispatch.start(alice, "Hello", agent=other).run, "terraform apply")
    gate_rules.create(ada, name="site", severity="low", sentence="Of the site.", when={"program": "terraform"})

    outcome = tried(ada, NO_TERRAFORM, policy=policy)

    assert (outcome.agents, outcome.newly_blocked) == (1, 1)
    with pytest.raises(Invalid, match="Another rule is called site"):
        tried(ada, NO_TERRAFORM | {"name": "site"}, policy=policy)


def test_what_a_second_opinion_said_counts_as_it_was_given(ada: User, run: Run) -> None:
    from agents.gate import Finding

    found = (Finding("tirith:x", "high", "It is a look-alike.", ""),)
    asked(run, "terraform apply", 1, Opinion("block", found))
    asked(run, "terraform plan", 1, Opinion("warn", found))

    outcome = tried(ada, NO_TERRAFORM)

    assert (outcome.commands, outcome.newly_blocked) == (2, 0)


def test_what_is_not_whole_on_record_is_counted_apart(ada: User, run: Run) -> None:
    asked(run, "terraform apply")
    Approval.objects.update(title="Not all of it is shown: a part looks like a secret, or it is too long. It asks.")

    outcome = tried(ada, NO_TERRAFORM)

    assert (outcome.commands, outcome.unclear) == (0, 1)


def test_nobody_learns_of_commands_they_may_not_see(
    ada: User, bob: User, mallory: User, atlas: Agent, policy: Policy, run: Run
) -> None:
    asked(run, "terraform apply")
    otto = person("otto", Role.OPERATOR)
    permissions.grant(otto, "edit", policy)

    assert tried(otto, NO_TERRAFORM, policy=policy).commands == 0
    for stranger in (bob, mallory):
        with pytest.raises((NotFound, LogosError)):
            tried(stranger, NO_TERRAFORM, policy=policy)
        Program(stranger).post("gate/what-if", {"policy_id": policy.pk, "rules": []}, 404)
    with pytest.raises(LogosError):
        tried(otto, NO_TERRAFORM)


def test_the_page_the_program_and_the_shell_say_the_same(
    ada: User, alice: User, run: Run, browser: Callable[..., Client], tmp_path: Path
) -> None:
    asked(run, "terraform apply", 2)
    text = "- {name: no-terraform, severity: high, answer: nobody, sentence: Cloud., when: {program: terraform}}"
    client = browser(ada)

    shown = unescape(client.post("/approvals/gate/what-if/", {"rules": text, "days": "7"}).content.decode())
    assert "2 commands would be blocked, 0 asked for, 0 taken to operators, 0 more would run" in shown
    assert text in shown
    assert client.post("/approvals/gate/what-if/", {"rules": "- {name: X}", "days": ""}).status_code == 400
    assert client.post("/approvals/gate/what-if/", {"rules": "", "days": "1000"}).status_code == 400
    assert browser(alice).get("/approvals/gate/what-if/").status_code in (403, 404)
    told = Program(ada).post("gate/what-if", {"rules": [NO_TERRAFORM]})
    assert (told["newly_blocked"], told["changes"][0]["command"]) == (2, "terraform apply")
    file = tmp_path / "draft.yaml"
    file.write_text(text)
    ended = shell.run("what-if", "-", "--gate", "--file", str(file))
    assert (ended.code, "blocked 2 more" in ended.said) == (3, True)
    file.write_text("")
    assert shell.run("what-if", "-", "--gate", "--file", str(file)).code == 0


def test_the_history_of_a_change_keeps_what_it_would_have_done(ada: User, run: Run) -> None:
    asked(run, "terraform apply", 2)

    row = gate_rules.create(ada, **NO_TERRAFORM)
    gate_rules.remove(ada, row.pk)

    removed, made = GateRule.history.order_by("-history_id").values_list("history_change_reason", flat=True)
    assert "it would have blocked 2 more" in made
    assert "asked for 2" in removed


def test_over_random_drafts_and_commands_there_is_no_mismatch_with_what_judges_live(
    ada: User, atlas: Agent, run: Run
) -> None:
    chance = random.Random(17)
    texts = [text for rule in shipped().all for text in rule.fires[:2]] + [
        "ls",
        "make test",
        "git push",
        "npm run build",
    ]
    whens = [{"rule": [rule.id]} for rule in shipped().all] + [
        {"at_least": "high"}, {"at_least": "critical"}, {"program": ["git", "npm"]}, {"program": "*", "word": "*a*"},
        {"program": ["rm", "make"], "argument": True}, {"writes": "/etc/*"}, {"program": "k*", "first": ["delete"]},
    ]  # fmt: skip

    def some() -> tuple[Own, ...]:
        return tuple(
            Own(f"r{n}", chance.choice(["low", "critical"]), chance.choice(own.ANSWERS), "X.", own.checked(chance.choice(whens)))
            for n in range(chance.randint(0, 5))
        )  # fmt: skip

    recorded = [chance.choice(texts) for _ in range(300)]
    for text in recorded:
        Approval.objects.create(
            kind="command", agent=atlas, run=run, asked_for=run.actor, title="It asks.", subject={"command": text},
            subject_hash="0" * 64, expires_at=timezone.now(),
        )  # fmt: skip
    mismatches, changed = 0, 0
    for _ in range(12):
        GateRule.objects.all().delete()
        now, then = some(), some()
        for rule in now:
            GateRule.objects.create(
                name=rule.name, severity=rule.severity, answer=rule.answer, sentence="X.", when=json.loads(rule.when)
            )
        outcome = commands.replay(ada, None, then)
        live = [(_live(text, now), _live(text, then)) for text in recorded]
        for verdict, told in (
            (BLOCK, outcome.newly_blocked), (ASK, outcome.newly_asked), (OPERATORS, outcome.newly_admin),
            (ALLOW, outcome.newly_allowed),
        ):  # fmt: skip
            mismatches += abs(told - sum(after == verdict != before for before, after in live))
        changed += sum(before != after for before, after in live)
        assert outcome.commands == len(recorded)
    assert mismatches == 0
    assert changed > 100


def _live(command: str, rules: tuple[Own, ...]) -> str:
    """What ``approvals.request`` would do, asked one by one."""
    from runs.gating import gated

    said = gated(command, rules=extended(rules))
    return BLOCK if said.refused else OPERATORS if said.is_for_operators else ASK


def test_calls_are_judged_as_the_tool_server_judges_them(ada: User, atlas: Agent) -> None:
    gate_rules.create(ada, **NO_TERRAFORM | {"answer": "operators"})
    for argv in (["terraform", "apply"], ["terraform", "plan"], ["git", "push", "--force"], ["rm", "-rf", "/"]):
        called(atlas, *argv)
    drafts = (
        [],
        [NO_TERRAFORM],
        [{"name": "a", "severity": "critical", "answer": "nobody", "when": {"at_least": "high"}}],
    )

    for draft in drafts:
        outcome = tried(ada, *draft)
        before = {c.command: c.before for c in outcome.changes}
        after = {c.command: c.after for c in outcome.changes}
        GateRule.objects.all().delete()
        for each in draft:
            gate_rules.create(ada, **each)
        for call in ToolCall.objects.all():
            _, verdict, _ = calls.explained(atlas.pk, "process.run", call.arguments)
            command = " ".join(call.arguments["argv"])
            said = {"block": "is blocked", "ask": ("asks the person", "asks operators")}[verdict.tier]
            assert after.get(command, said) in said or after.get(command, said) == said
        assert set(before) == set(after)
