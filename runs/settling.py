"""End a run: its last event, its row, the agent's message and the figures, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone

from agents.errors import Code, LogosError
from runs import approvals, asked_hosts, events
from runs.events import Event
from runs.models import ACTIVE, Conversation, Message, Run, Speaker, Status
from runs.recorder import RESUME_GAP
from sandboxes.inference.calls import CallRecord


@dataclass(slots=True)
class Figures:
    """What a run used, summed over its model calls. An unknown price makes the sum a lower bound."""

    model_calls: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = None
    cost_is_partial: bool = False

    def add(self, record: CallRecord) -> None:
        """Count one finished call."""
        self.count(record.input_tokens, record.output_tokens, record.cost, is_estimate=record.is_estimate)

    def count(
        self, input_tokens: int | None, output_tokens: int | None, cost: Decimal | None, *, is_estimate: bool = False
    ) -> None:
        """Count one call's figures; None is unknown."""
        self.model_calls += 1
        self.input_tokens += input_tokens or 0
        self.output_tokens += output_tokens or 0
        self.cost_is_partial = self.cost_is_partial or cost is None or is_estimate
        if cost is not None:
            self.cost = (self.cost or Decimal(0)) + cost

    def as_json(self) -> dict[str, Any]:
        """For the run's last event."""
        return {
            "model_calls": self.model_calls,
            "tool_calls": self.tool_calls,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost": None if self.cost is None else str(self.cost),
            "cost_is_partial": self.cost_is_partial,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. ``text`` is the reply, or what there was of it."""

    status: str
    text: str = ""
    code: str = ""
    message: str = ""
    action: str = ""
    by: str = ""
    figures: Figures = field(default_factory=Figures)

    @property
    def kind(self) -> str:
        return f"run.{self.status}"

    def data(self) -> dict[str, Any]:
        """The data of the last event."""
        common = {"text": self.text, "usage": self.figures.as_json()}
        if self.status == Status.FAILED:
            return {**common, "code": self.code, "message": self.message, "action": self.action}
        if self.status == Status.CANCELLED:
            return {**common, "by": self.by}
        if self.status == Status.INTERRUPTED:
            return {**common, "reason": self.message, "action": self.action}
        return common


@transaction.atomic
def settle(outcome: Outcome, last: Event, head: str | None) -> bool:
    """Write the end of a run, once; False when it had ended already, and then nothing is written."""
    figures = outcome.figures
    ended = Run.objects.filter(pk=last.run_id, status__in=ACTIVE).update(
        status=outcome.status,
        finished_at=timezone.now(),
        lease_owner="",
        lease_until=None,
        error_code=outcome.code,
        error_message=events.plain(outcome.message)[:500],
        error_action=events.plain(outcome.action)[:300],
        model_calls=figures.model_calls,
        tool_calls=figures.tool_calls,
        input_tokens=figures.input_tokens,
        output_tokens=figures.output_tokens,
        cost=figures.cost,
        cost_is_partial=figures.cost_is_partial,
    )
    if not ended:
        return False
    run = Run.objects.get(pk=last.run_id)
    events.store([last], {last.run_id: head} if head else {})
    approvals.withdraw(run)
    asked_hosts.end_with(run)
    if outcome.text:
        text = events.plain(outcome.text)
        run.reply = Message.objects.create(conversation_id=run.conversation_id, speaker=Speaker.AGENT, text=text)
        run.save(update_fields=["reply"])
    Conversation.objects.filter(pk=run.conversation_id).update(last_at=timezone.now())
    return True


def fail_unread(run_id: str, error: LogosError) -> bool:
    """End a run that an engine claimed and could not even read (its provider's key cannot be opened, its model
    is gone). Otherwise it would stay claimed for ever, and its conversation busy."""
    code = error.reason if error.reason in tuple(Code) else Code.RUNTIME_ERROR
    outcome = Outcome(Status.FAILED, code=str(code), message=error.message, action=error.action)
    # Beyond anything a dead engine may have shown and not stored.
    seq = events.last_seq(run_id) + RESUME_GAP
    return settle(outcome, Event(run_id, seq, outcome.kind, events.redacted(outcome.data()), events.now()), None)
