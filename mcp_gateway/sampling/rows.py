"""The rows of what servers asked of models: who asked, for whom, what it came to; never a word of the question."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from django.utils import timezone

from agents.secrets import redact
from mcp_gateway import ids

Outcome = Literal["started", "ok", "refused", "error", "timeout", "cancelled", "unknown"]
INTERRUPTED = "Logos ended while the model was asked."


@dataclass(frozen=True, slots=True)
class About:
    """Whose call a question belongs to; nothing where that cannot be told."""

    agent_id: str = ""
    run_id: str = ""
    tool: str = ""
    call_id: str = ""


@dataclass(slots=True)
class Sampled:
    """One question of a server and what became of it."""

    server_id: str
    server: str
    about: About
    outcome: Outcome = "error"
    why: str = ""
    reason: str = ""
    said: str = ""
    route_id: str = ""
    model: str = ""
    hint: str = ""
    asked_tokens: int | None = None
    max_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: Decimal | None = None
    model_call_id: str = ""
    duration_ms: float = 0.0
    at: datetime = field(default_factory=timezone.now)
    id: str = field(default_factory=ids.sampling_id)

    def told(self) -> dict[str, object]:
        """The data of the event of its run: nothing of the model and of budgets, which not everybody who reads it sees."""
        known = {"server": self.server, "tool": self.about.tool, "outcome": self.outcome, "why": self.why}
        return {**known, "reason": self.said, "duration_ms": round(self.duration_ms, 1)}


def begin(record: Sampled) -> None:
    """Write down that the model is asked; one that has ended by now is left as it is."""
    from mcp_gateway.models import McpSampling

    row = McpSampling(pk=record.id, **_columns(record) | {"outcome": "started"})
    McpSampling.objects.bulk_create([row], ignore_conflicts=True)


def store(record: Sampled) -> None:
    """Write down what became of it; the row of one that was begun says so from now on."""
    from mcp_gateway.models import McpSampling

    McpSampling.objects.update_or_create(pk=record.id, defaults=_columns(record))


def interrupted() -> int:
    """Nobody answers these questions any more: how they ended is not known."""
    from mcp_gateway.models import McpSampling

    return McpSampling.objects.filter(outcome="started").update(outcome="unknown", reason=INTERRUPTED)


def _columns(record: Sampled) -> dict[str, Any]:
    """A server or an agent that is gone meanwhile is left out."""
    from agents.models import Agent
    from mcp_gateway.models import McpServer

    about = record.about
    return {
        "server": McpServer.objects.filter(pk=record.server_id).first(),
        "server_name": record.server[:80],
        "agent": Agent.objects.filter(pk=about.agent_id).first() if about.agent_id else None,
        "run_id": about.run_id,
        "call_id": about.call_id,
        "tool": _storable(about.tool, 128),
        "outcome": record.outcome,
        "why": record.why,
        "reason": _storable(redact(record.reason), 300),
        "route_id": record.route_id,
        "model": _storable(record.model, 200),
        "hint": _storable(redact(record.hint), 200),
        "asked_tokens": _count(record.asked_tokens),
        "max_tokens": _count(record.max_tokens),
        "input_tokens": _count(record.input_tokens),
        "output_tokens": _count(record.output_tokens),
        "cost": record.cost,
        "model_call_id": record.model_call_id,
        "duration_ms": round(record.duration_ms, 2),
        "at": record.at,
    }


def _count(number: int | None) -> int | None:
    return None if number is None else min(number, 2_147_483_647)


def _storable(text: str, longest: int) -> str:
    return text.replace("\x00", "").encode("utf-8", "replace").decode()[:longest]
