"""What admins may know of every run, chats private or not: who, when, with which agent, how it ended, what it cost.

The columns are named one by one, so that nothing anybody said can slip in with a new field.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from agents import people
from agents.models import User
from runs.models import Run

COLUMNS = (
    "id",
    "conversation__owner_id",
    "conversation__owner__username",
    "agent_id",
    "agent__name",
    "status",
    "error_code",
    "created_at",
    "finished_at",
    "model_calls",
    "tool_calls",
    "input_tokens",
    "output_tokens",
    "cost",
    "cost_is_partial",
)


@dataclass(frozen=True, slots=True)
class Line:
    """One run, without a word of it."""

    id: str
    person_id: int
    person: str
    agent_id: str
    agent: str
    status: str
    error_code: str
    created_at: datetime
    finished_at: datetime | None
    model_calls: int
    tool_calls: int
    input_tokens: int
    output_tokens: int
    cost: Decimal | None
    cost_is_partial: bool

    @property
    def duration_ms(self) -> float | None:
        return (self.finished_at - self.created_at).total_seconds() * 1000 if self.finished_at else None


def lines(actor: User, *, person: str = "", status: str = "", after: str = "", limit: int = 25) -> list[Line]:
    """The newest first; one more than ``limit`` when there are more. For whoever manages people; NotFound otherwise."""
    people.require(actor)
    wanted: dict[str, Any] = {"conversation__owner__username": person, "status": status, "pk__lt": after}
    rows = Run.objects.filter(**{name: value for name, value in wanted.items() if value})
    return [Line(*row) for row in rows.order_by("-pk").values_list(*COLUMNS)[: limit + 1]]
