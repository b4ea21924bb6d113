"""What the agent runtime asks is judged by the gate: reasons for the person, no leave for what nobody may approve."""

from __future__ import annotations

import pytest

from agents.gate import Finding
from agents.gate.tirith import Opinion
from agents.models import Agent, User
from runs import approvals, dispatch
from runs.asking import reason_of
from runs.models import Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(alice: User, atlas: Agent) -> Run:
    return dispatch.start(alice, "Hello", agent=atlas).run


def test_the_request_says_why_in_sentences(run: Run) -> None:
    asked = approvals.request(run.pk, "sudo rm -rf build", "recursive delete")

    assert asked.state == "pending"
    assert asked.severity == "high"
    assert [(each["rule"], each["severity"]) for each in asked.findings] == [
        ("delete-recursive", "high"),
        ("as-root", "low"),
    ]
    assert asked.findings[0]["sentence"] == "Deletes a directory and everything below it."


@pytest.mark.parametrize("command", ["rm -rf /", "bash -lc 'sudo rm -r -f /'", ":(){ :|:& };:", "dd of=/dev/sda"])
def test_what_nobody_may_approve_is_denied_unasked_and_the_agent_is_told(run: Run, command: str) -> None:
    asked = approvals.request(run.pk, command, "dangerous")

    assert (asked.state, asked.choice, asked.decided_via, asked.decided_by) == ("denied", "deny", "gate", None)
    assert reason_of(asked).startswith("Nobody may approve this. ")
    assert reason_of(asked).endswith("Do it another way.")
    assert not approvals.open_of(run.pk)


def test_nobody_can_decide_it_afterwards(run: Run, alice: User) -> None:
    asked = approvals.request(run.pk, "rm -rf /", "dangerous")

    with pytest.raises(Exception, match="already decided"):
        approvals.decide(alice, asked, "once")


def test_a_yes_for_the_run_is_for_the_command_and_not_for_its_kind(run: Run, alice: User) -> None:
    approvals.decide(alice, approvals.request(run.pk, "rm -rf build", ""), "run")

    again = approvals.request(run.pk, "rm  -fr 'build'", "")
    other = approvals.request(run.pk, "rm -rf dist", "")
    more = approvals.request(run.pk, "rm -rf build; rm -rf dist", "")
    wrapped = approvals.request(run.pk, "sudo rm -rf build", "")

    assert [each.state for each in (again, other, more, wrapped)] == ["allowed", "pending", "pending", "pending"]


def test_a_command_no_rule_is_about_is_asked_all_the_same(run: Run) -> None:
    asked = approvals.request(run.pk, "ls", "the runtime found it dangerous")

    assert (asked.state, asked.findings, asked.severity) == ("pending", [], "")


def test_a_block_of_the_second_opinion_is_final(run: Run) -> None:
    opinion = Opinion("block", (Finding("tirith:confusable_domain", "high", "Confusable domain detected.", ""),))

    asked = approvals.request(run.pk, "curl https://example.org", "", opinion=opinion)

    assert (asked.state, asked.decided_via) == ("denied", "gate")
    assert "Confusable domain detected." in asked.note


def test_a_warning_of_the_second_opinion_is_one_more_reason_and_another_question(run: Run, alice: User) -> None:
    approvals.decide(alice, approvals.request(run.pk, "rm -rf build", ""), "run")
    opinion = Opinion("warn", (Finding("tirith:x", "critical", "Look twice.", ""),))

    asked = approvals.request(run.pk, "rm -rf build", "", opinion=opinion)

    assert (asked.state, asked.severity) == ("pending", "critical")
    assert "Look twice." in [each["sentence"] for each in asked.findings]


def test_without_the_second_opinion_no_rule_allows_it(run: Run, alice: User) -> None:
    failed = Opinion("failed", (Finding("tirith:failed", "high", "It did not answer, so a person decides.", ""),))
    for _ in range(2):
        asked = approvals.request(run.pk, "rm -rf build", "", opinion=failed)
        assert asked.state == "pending"
        approvals.decide(alice, asked, "run")
