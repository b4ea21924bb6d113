"""A run ends once: its last event, its row, the reply and the figures, together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from agents.models import Agent, User
from agents.secrets import MASK
from runs import approvals, dispatch, events, settling
from runs.events import Event
from runs.models import Approval, Message, Run, Status
from runs.settling import Figures, Outcome
from sandboxes.inference.calls import CallRecord

TOKEN = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"


@pytest.fixture
def run(alice: User, atlas: Agent) -> Run:
    return dispatch.start(alice, "Hello", agent=atlas).run


def end(run: Run, outcome: Outcome, seq: int = 2) -> bool:
    last = Event(run.pk, seq, outcome.kind, events.redacted(outcome.data()), datetime.now(UTC))
    settled = settling.settle(outcome, last, None)
    run.refresh_from_db()
    return settled


def test_a_completed_run_has_its_reply_its_figures_and_its_last_event(run: Run) -> None:
    figures = Figures(2, 1, 30, 12, Decimal("0.25"), True)

    assert end(run, Outcome(Status.COMPLETED, "Done", figures=figures))

    assert (run.status, run.has_finished, run.lease_owner, run.lease_until) == ("completed", True, "", None)
    assert run.reply is not None
    assert (run.reply.text, run.reply.speaker, run.reply.conversation_id) == ("Done", "agent", run.conversation_id)
    assert (run.model_calls, run.tool_calls, run.input_tokens, run.output_tokens) == (2, 1, 30, 12)
    assert (run.cost, run.cost_is_partial) == (Decimal("0.25"), True)
    assert run.duration_ms is not None
    assert timedelta(0) < run.finished_at - run.created_at < timedelta(minutes=1)  # type: ignore[operator]
    last = events.replay(run.pk)[-1]
    assert (last.kind, last.data["text"], last.data["usage"]["cost"]) == ("run.completed", "Done", "0.25")
    assert events.verify(run) == ""


@pytest.mark.parametrize(
    ("outcome", "data"),
    [
        (Outcome(Status.FAILED, "half", "unknown", "Broke.", "Again."), {"code": "unknown", "message": "Broke.", "action": "Again."}),
        (Outcome(Status.CANCELLED, "half", by="alice"), {"by": "alice"}),
        (Outcome(Status.INTERRUPTED, "half", message="Lost.", action="Again."), {"reason": "Lost.", "action": "Again."}),
    ],
)  # fmt: skip
def test_a_run_that_ended_otherwise_says_why_and_keeps_what_was_said(run: Run, outcome: Outcome, data: dict) -> None:
    assert end(run, outcome)

    said = {key: value for key, value in events.replay(run.pk)[-1].data.items() if key not in {"text", "usage"}}
    assert (run.status, said) == (outcome.status, data)
    assert run.reply is not None
    assert run.reply.text == "half"
    assert (run.error_code, run.error_message, run.error_action) == (outcome.code, outcome.message, outcome.action)


def test_the_second_end_changes_nothing(run: Run) -> None:
    end(run, Outcome(Status.COMPLETED, "Done"))

    assert not end(run, Outcome(Status.FAILED, "Late", "unknown"), seq=3)

    assert run.status == Status.COMPLETED
    assert events.last_seq(run.pk) == 2
    assert Message.objects.filter(speaker="agent").count() == 1


def test_without_words_there_is_no_message(run: Run) -> None:
    end(run, Outcome(Status.CANCELLED, by="alice"))

    assert run.reply is None
    assert Message.objects.count() == 1


def test_what_waited_for_a_person_waits_no_longer(run: Run) -> None:
    approvals.request(run.pk, "reboot", "")

    end(run, Outcome(Status.CANCELLED, by="alice"))

    assert Approval.objects.get().state == "withdrawn"


def test_when_the_last_event_cannot_be_written_the_run_has_not_ended(run: Run) -> None:
    with pytest.raises(Exception, match=r"(?i)unique"):
        end(run, Outcome(Status.COMPLETED, "Done"), seq=1)

    run.refresh_from_db()
    assert (run.status, run.reply, events.last_seq(run.pk)) == (Status.QUEUED, None, 1)


def test_words_and_reasons_are_stored_clean_and_in_full_length(run: Run) -> None:
    words = f"{TOKEN} \x00\ud800 " + "x" * 70_000

    end(run, Outcome(Status.FAILED, words, "unknown", f"{TOKEN}\x00\ud800" + "m" * 600, "a\x00" * 400))

    assert run.reply is not None
    assert run.reply.text == f"{MASK} ? " + "x" * 70_000
    assert run.error_message == f"{MASK}?" + "m" * 493
    assert run.error_action == "a" * 300


def record(**values: Any) -> CallRecord:
    return CallRecord("call_1", "run_1", "box_1", "route_1", "m", 200, **values)


def test_figures_add_up_and_an_unknown_price_makes_the_sum_a_lower_bound() -> None:
    figures = Figures()

    figures.add(record(input_tokens=10, output_tokens=5, cost=Decimal("0.1")))
    figures.add(record(input_tokens=None, output_tokens=2, cost=Decimal("0.2")))
    assert figures.as_json()["cost"] == "0.3"
    assert not figures.cost_is_partial

    figures.add(record(cost=None))

    assert (figures.model_calls, figures.input_tokens, figures.output_tokens) == (3, 10, 7)
    assert (figures.cost, figures.cost_is_partial) == (Decimal("0.3"), True)


def test_nothing_known_of_the_cost_is_not_free() -> None:
    figures = Figures()
    figures.add(record())

    assert figures.as_json()["cost"] is None
    assert figures.cost_is_partial
