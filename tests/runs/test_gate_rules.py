"""Operators' gate rules through their doors, and what they do to commands that agents ask for."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape

import pytest
from django.test import Client

from agents import gate_rules, permissions
from agents.editing import Stale
from agents.errors import Conflict, Invalid, LogosError, NotFound
from agents.models import Agent, GateRule, Policy, Role, SecurityEvent, User
from runs import approvals, dispatch
from runs.models import Approval, Run
from sandboxes.tool_server import calls
from tests import shell
from tests.api_client import Program
from tests.conftest import person
from tests.console import Console

pytestmark = pytest.mark.django_db

Browser = Callable[..., Client]
WHEN = {"program": ["terraform"], "first": ["apply", "destroy"]}
FIELDS = {
    "name": "no-terraform",
    "severity": "high",
    "answer": "person",
    "sentence": "Changes the cloud.",
    "when": WHEN,
}


@pytest.fixture
def otto(db: None) -> User:
    return person("otto", Role.OPERATOR)


@pytest.fixture
def policy(ada: User, otto: User, atlas: Agent) -> Policy:
    made = Policy.objects.create(name="Cloud", owner=ada)
    permissions.grant(otto, "edit", made)
    atlas.policies.add(made)
    return made


@pytest.fixture
def run(alice: User, atlas: Agent) -> Run:
    return dispatch.start(alice, "Hello", agent=atlas).run


def asked(run: Run, command: str = "terraform apply") -> Approval:
    return approvals.request(run.pk, command, "The runtime asks.")


def test_a_request_says_the_reason_and_a_yes_before_the_rule_covers_it_no_more(
    ada: User, alice: User, run: Run
) -> None:
    approvals.decide(alice, asked(run), "run")
    assert asked(run).state == "allowed"

    gate_rules.create(ada, **FIELDS)

    again = asked(run)
    assert (again.state, again.tier, again.severity) == ("pending", "user", "high")
    assert again.findings == [{"rule": "own:no-terraform", "severity": "high", "sentence": "Changes the cloud."}]
    assert again.policy_version


def test_what_is_for_operators_the_person_does_not_decide(ada: User, alice: User, run: Run) -> None:
    gate_rules.create(ada, **FIELDS | {"answer": "operators"})

    waits = asked(run)

    assert waits.tier == "admin"
    with pytest.raises(LogosError):
        approvals.decide(alice, waits, "once")
    approvals.decide(ada, waits, "once")
    waits.refresh_from_db()
    assert waits.state == "allowed"


def test_what_nobody_may_allow_is_denied_unasked_with_the_sentence(ada: User, run: Run) -> None:
    gate_rules.create(ada, **FIELDS | {"answer": "nobody"})

    denied = asked(run)

    assert (denied.state, denied.decided_via) == ("denied", "gate")
    assert "Changes the cloud." in denied.note


def test_a_rule_of_a_policy_is_about_its_agents_alone(
    otto: User, alice: User, policy: Policy, run: Run, atlas: Agent
) -> None:
    gate_rules.create(otto, policy, **FIELDS | {"answer": "nobody"})
    assert asked(run).state == "denied"

    atlas.policies.clear()

    assert asked(run).state == "pending"


def test_calls_of_process_run_pass_it_too(ada: User, atlas: Agent) -> None:
    given = {"argv": ["terraform", "destroy"]}
    gate_rules.create(ada, **FIELDS | {"answer": "nobody"})

    _, verdict, _ = calls.explained(atlas.pk, "process.run", given)

    assert (verdict.tier, verdict.rule) == ("block", "gate")
    assert "Changes the cloud." in verdict.reason


def test_who_may_write_which(ada: User, otto: User, alice: User, mallory: User, policy: Policy) -> None:
    for user in (otto, alice, mallory):
        with pytest.raises(LogosError):
            gate_rules.create(user, **FIELDS)
    for user in (alice, mallory, person("olga", Role.OPERATOR)):
        with pytest.raises(NotFound):
            gate_rules.create(user, policy, **FIELDS)
    mine = gate_rules.create(otto, policy, **FIELDS)
    site = gate_rules.create(ada, **FIELDS | {"name": "site"})

    assert set(gate_rules.seen_by(otto)) == {mine, site}
    assert set(gate_rules.seen_by(mallory)) == {site}
    assert gate_rules.may_change(otto, [mine, site]) == {mine.pk}
    for user, row in ((otto, site), (alice, mine), (mallory, mine), (mallory, site)):
        with pytest.raises(NotFound):
            gate_rules.change(user, row.pk, row.version, severity="critical")
        with pytest.raises(NotFound):
            gate_rules.remove(user, row.pk)


def test_a_change_from_an_older_version_is_refused_and_kept_in_the_history(ada: User) -> None:
    row = gate_rules.create(ada, **FIELDS)
    gate_rules.change(ada, row.pk, 1, severity="critical")

    with pytest.raises(Stale):
        gate_rules.change(ada, row.pk, 1, severity="low")

    row.refresh_from_db()
    assert (row.severity, row.version, row.history.count()) == ("critical", 2, 2)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "No Terraform"),
        ("name", ""),
        ("name", "x" * 61),
        ("severity", "awful"),
        ("answer", "me"),
        ("sentence", "a\nb"),
        ("sentence", ""),
        ("when", {"word": "*"}),
        ("severity", None),
    ],
)
def test_what_no_rule_can_be_names_the_field(ada: User, field: str, value: object) -> None:
    with pytest.raises(Invalid) as refused:
        gate_rules.create(ada, **FIELDS | {field: value})

    assert refused.value.field == field


def test_a_rule_that_raises_nothing_and_a_name_that_is_taken_are_refused(ada: User) -> None:
    with pytest.raises(Invalid, match="raises nothing"):
        gate_rules.create(ada, name="a", severity="low", when={"rule": ["force-push"]})
    gate_rules.create(ada, **FIELDS)
    with pytest.raises(Conflict, match="taken"):
        gate_rules.create(ada, **FIELDS)


def test_the_pages_write_change_try_and_remove(
    ada: User, otto: User, alice: User, atlas: Agent, policy: Policy, browser: Browser
) -> None:
    client = browser(otto)
    form = {**FIELDS, "when": "program: [terraform]\nfirst: [apply, destroy]", "policy": policy.pk}
    assert "every agent&#x27;s" not in client.get("/approvals/gate/rules/new/").content.decode()

    wrong = client.post("/approvals/gate/rules/new/", form | {"when": "word: [x"})
    assert wrong.status_code == 400
    assert "word: [x" in unescape(wrong.content.decode())
    assert client.post("/approvals/gate/rules/new/", form | {"policy": ""}).status_code == 403
    assert client.post("/approvals/gate/rules/new/", form).status_code == 302
    row = GateRule.objects.get()
    tried = client.post("/approvals/gate/", {"command": "terraform apply", "agent": ""}).content.decode()
    assert "It passes" in tried
    tried = browser(alice).post("/approvals/gate/", {"command": "terraform apply", "agent": atlas.pk}).content.decode()
    assert "Changes the cloud." in tried
    path = f"/approvals/gate/rules/{row.pk}/"
    assert client.post(path, form | {"version": 1, "severity": "critical"}).status_code == 302
    stale = client.post(path, form | {"version": 1, "sentence": "Mine instead."})
    assert stale.status_code == 409
    assert "Mine instead." in stale.content.decode()
    assert client.post(f"{path}delete/", {"confirmed": "yes"}).status_code == 302
    assert not GateRule.objects.exists()


def test_strangers_see_no_rule_of_a_policy(
    otto: User, mallory: User, viewer: User, policy: Policy, browser: Browser
) -> None:
    row = gate_rules.create(otto, policy, **FIELDS)

    for user in (mallory, viewer):
        assert "no-terraform" not in browser(user).get("/approvals/gate/").content.decode()
        assert browser(user).get(f"/approvals/gate/rules/{row.pk}/").status_code == 404
        assert Program(user)("GET", f"gate/rules/{row.pk}").status_code == 404
        assert Program(user)("GET", "gate/rules").json()["items"] == []
        assert Program(user)("DELETE", f"gate/rules/{row.pk}").status_code == 404


def test_programs_write_change_list_and_remove(ada: User, alice: User, atlas: Agent, policy: Policy) -> None:
    program = Program(ada)

    made = program.post("gate/rules", FIELDS, 201)
    assert (made["when"], made["policy_id"], made["version"]) == (WHEN, None, 1)
    judged = Program(alice).post("gate/check", {"command": "terraform apply", "agent_id": atlas.pk})
    assert judged["findings"][0]["rule"] == "own:no-terraform"
    changed = program("PATCH", f"gate/rules/{made['id']}", {"version": 1, "answer": "nobody"})
    assert changed.json()["answer"] == "nobody"
    assert program("PATCH", f"gate/rules/{made['id']}", {"version": 1, "answer": "person"}).status_code == 409
    assert [each["name"] for each in program("GET", "gate/rules").json()["items"]] == ["no-terraform"]
    assert program("DELETE", f"gate/rules/{made['id']}").status_code == 204
    program.post("gate/rules", FIELDS | {"when": {"programme": ["x"]}}, 400)


def test_a_shell_writes_lists_and_removes(ada: User, atlas: Agent, policy: Policy) -> None:
    words = (
        "gate",
        "add",
        "no-terraform",
        "--severity",
        "high",
        "--answer",
        "nobody",
        "--sentence",
        "Changes the cloud.",
    )
    when = ("--when", "{program: [terraform], first: [apply]}", "--user", "ada")

    assert shell.run(*words, *when, "--policy", "Cloud").code == 0
    assert "no-terraform" in shell.run("gate", "own", "--user", "ada").out
    assert shell.run("gate", "check", "terraform apply", "--user", "ada").code == 0
    assert shell.run("gate", "check", "terraform apply", "--agent", "atlas", "--user", "ada").code == 3
    assert shell.run(*words, "--when", "{word: x}", "--user", "ada").code == 1
    assert shell.run("gate", "remove", "no-terraform", "--user", "ada").code == 0
    assert not GateRule.objects.exists()


def test_the_console_shows_and_removes_them(ada: User, policy: Policy) -> None:
    row = gate_rules.create(ada, policy, **FIELDS)
    console = Console(ada)

    assert "no-terraform" in console.list(GateRule).content.decode()
    assert "terraform" in console.open(row).content.decode()
    console.act(GateRule, "remove", row, confirmed="yes")
    assert not GateRule.objects.exists()


def test_what_is_written_is_a_security_event_each_time(ada: User, policy: Policy) -> None:
    rule = gate_rules.create(ada, policy, **FIELDS)
    gate_rules.change(ada, rule.pk, rule.version, severity="critical")
    gate_rules.change(ada, rule.pk, None, severity="critical")
    gate_rules.remove(ada, rule.pk)
    gate_rules.create(ada, **FIELDS)

    events = SecurityEvent.objects.filter(kind__startswith="gate_rule_", actor=ada).order_by("pk")
    assert [(event.kind, event.detail["severity"], event.detail["whose"]) for event in events] == [
        ("gate_rule_made", "high", "Cloud"),
        ("gate_rule_changed", "critical", "Cloud"),
        ("gate_rule_removed", "critical", "Cloud"),
        ("gate_rule_made", "high", "every agent"),
    ]
    assert {event.object_name for event in events} == {"no-terraform"}
