"""The reviewer with the real runtime: what it allows runs, what it denies does not, and a crash leaves it to the person."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from agents.models import Agent
from runs.models import Approval, Charge, ReviewerOpinion
from sandboxes.models import InferenceCall
from tests.journeys.house import House, until
from tests.journeys.provider import provider_in_thread
from tests.journeys.sound import assert_sound
from tests.runs.reviewing.conftest import reviewed
from tests.runs.reviewing.judge import Judge, opinion, running_judge

pytestmark = pytest.mark.runtime


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with provider_in_thread(running_judge) as judge:
        yield judge


@pytest.fixture
def court(logos: House, judge: Judge) -> Judge:
    """A reviewer that answers for atlas, whatever the test before made of it."""
    judge.says, judge.status, judge.is_silent = opinion(), 200, False
    agent = Agent.objects.get(pk=logos.agent_id)
    if not hasattr(agent, "reviewed"):
        reviewed(logos.admin, agent, judge.base_url)
    return judge


def writing(name: str) -> str:
    """The runtime asks before this; the gate finds it of medium severity."""
    return f"dd if=/dev/zero of={name} bs=1 count=1"


def waiting(logos: House, run_id: str) -> dict[str, Any]:
    return dict(until(lambda: logos.api("GET", f"/approvals?run_id={run_id}")["items"], "it asks")[0])


def test_what_it_allows_runs_at_once_is_on_record_and_paid_for(logos: House, court: Judge) -> None:
    run = logos.ask(f"run: {writing('allowed.bin')}")

    story = assert_sound(run)
    asked = Approval.objects.get(run=run.pk)
    row = ReviewerOpinion.objects.get(approval=asked)
    assert (asked.state, asked.choice, asked.decided_via, asked.decided_by) == ("allowed", "once", "reviewer", None)
    assert (row.outcome, row.verdict, row.confidence) == ("allowed", "allow", Decimal("0.9"))
    assert (logos.workspace / "allowed.bin").exists()
    assert [event.data["via"] for event in story if event.kind == "approval.decided"] == ["reviewer"]
    assert [event.data.get("by") for event in story if event.kind == "model.call"].count("reviewer") == 1
    call = until(lambda: InferenceCall.objects.filter(pk=row.call_id).first(), "the call is written")
    assert (call.run_id, call.model, call.cost) == (run.pk, "judge-1", row.cost)
    assert until(lambda: Charge.objects.filter(pk=row.call_id, state="settled").first(), "it is paid").run_id == run.pk
    assert run.cost == row.cost
    assert run.stamp["permissions"]["approvals"].startswith("reviewer route_")


def test_what_it_denies_does_not_run_and_the_agent_reads_why(logos: House, court: Judge) -> None:
    court.says = opinion("deny", 0.99, "Nobody asked for that file.")

    run = logos.ask(f"run: {writing('denied.bin')}")

    assert_sound(run)
    assert "Nobody asked for that file." in run.reply.text
    assert not (logos.workspace / "denied.bin").exists()
    assert Approval.objects.get(run=run.pk).state == "denied"


def test_when_it_is_unsure_the_run_waits_for_the_person(logos: House, court: Judge) -> None:
    court.says = opinion("unsure", 0.9, "What is it for?")
    run_id = logos.send(f"run: {writing('unsure.bin')}")["id"]

    told = logos.until_event(run_id, "approval.reviewed")["data"]
    question = waiting(logos, run_id)

    assert (told["why"], told["reason"]) == ("unsure", "What is it for?")
    assert question["reviewer"]["sentence"] == "The reviewer is not sure."
    body = {"choice": "once", "subject_hash": question["subject_hash"]}
    logos.api("POST", f"/approvals/{question['id']}", json=body)
    run = logos.ended(run_id)
    assert_sound(run)
    assert (logos.workspace / "unsure.bin").exists()


def test_after_a_crash_the_request_is_simply_the_persons(logos: House, court: Judge) -> None:
    court.is_silent = True
    before = len(court.asked)
    run_id = logos.send(f"run: {writing('crashed.bin')}")["id"]
    until(lambda: len(court.asked) > before, "the reviewer is asked")

    logos.restart()

    row = until(
        lambda: ReviewerOpinion.objects.filter(approval__run=run_id).exclude(outcome="asking").first(), "it is closed"
    )
    question = waiting(logos, run_id)
    assert (row.outcome, row.why, question["state"]) == ("left", "interrupted", "pending")
    body = {"choice": "deny", "subject_hash": question["subject_hash"], "note": "Not now."}
    logos.api("POST", f"/approvals/{question['id']}", json=body)
    run = logos.ended(run_id)
    assert_sound(run)
    assert len(court.asked) == before + 1, "nobody asks the reviewer twice"
