"""/api/halts: stop everything, an agent, a person or a server; what confirmed; and the steps back."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import halt_report, halting
from agents.api.asking import asker
from agents.api.shapes import NEXT, PageQuery, Text, page
from agents.halts import stages_after
from agents.models import Halt, HaltScope, Stage, StopKind
from agents.views.halts import MOST_AGENTS

router = Router(tags=["Halts"])

EXAMPLE: dict[str, Any] = {
    "id": "halt_01jd3v9k5w8q2n7x4m6t0r1y2z",
    "scope": "everything",
    "name": "",
    "reason": "Runs reach what they should not.",
    "stage": "stopped",
    "agents": [],
    "at": "2026-11-21T21:12:44.120Z",
    "lifted_at": None,
}
STOP: dict[str, Any] = {
    "kind": "run",
    "subject": "run_01jd3v9k5w8q2n7x4m6t0r1y2z",
    "requested_at": "2026-11-21T21:12:44.120Z",
    "confirmed_at": "2026-11-21T21:12:45.020Z",
    "note": "",
}


class HaltOut(Schema):
    """Something that is, or was, stopped. `stage` is how far it is taken back; `agents` are those that may work again."""

    id: str
    scope: HaltScope
    name: str
    reason: str
    stage: Stage
    agents: list[str] = Field(alias="chosen")
    at: datetime
    lifted_at: datetime | None

    model_config = {"json_schema_extra": {"example": EXAMPLE}}


class HaltPage(Schema):
    """Halts that concern you, the newest first."""

    items: list[HaltOut]
    next: str | None = NEXT

    model_config = {"json_schema_extra": {"example": {"items": [EXAMPLE], "next": None}}}


class StopOut(Schema):
    """One thing that was asked to stop; `confirmed_at` is null until it says that it has."""

    kind: StopKind
    subject: str
    requested_at: datetime
    confirmed_at: datetime | None
    note: str

    model_config = {"json_schema_extra": {"example": STOP}}


class HaltReport(HaltOut):
    """A halt you may take back, with what it asked to stop (of agents you see) and the steps that are left."""

    requested: int
    confirmed: int
    stops: list[StopOut] = Field(description=f"Unconfirmed ones first, {halt_report.SHOWN} at most.")
    left: list[Stage]

    model_config = {
        "json_schema_extra": {
            "example": {**EXAMPLE, "requested": 3, "confirmed": 3, "stops": [STOP], "left": ["deciding", "lifted"]}
        }
    }


class HaltQuery(PageQuery):
    """Which halts."""

    on: bool | None = Field(None, description="Only those that are on, or only those that were taken back.")


class HaltIn(Schema):
    """What to stop."""

    scope: HaltScope
    subject: Text = Field(
        "", max_length=200, description="The agent's id, the person's user name, the server's name; empty for all."
    )
    reason: Text = Field("", max_length=halting.MAX_REASON, description="Everybody it concerns reads it.")

    model_config = {"json_schema_extra": {"example": {"scope": "everything", "reason": "Fire drill."}}}


class ResumeIn(Schema):
    """How far to take it back."""

    stage: Literal["deciding", "chosen", "lifted"]
    agents: list[Text] = Field([], max_length=MOST_AGENTS, description="With `chosen`: ids of those that may work.")

    model_config = {"json_schema_extra": {"example": {"stage": "lifted"}}}


@router.get("", response=HaltPage, operation_id="list_halts", summary="What is and was stopped")
def list_halts(request: HttpRequest, query: Query[HaltQuery]) -> dict[str, Any]:
    """Halts of everything and of servers, of agents you see, of yourself, and those you may take back."""
    rows = halting.seen_by(asker(request))
    return page(rows if query.on is None else rows.filter(lifted_at__isnull=query.on), query)


@router.post("", response={201: HaltReport}, operation_id="stop", summary="Stop something at once")
def stop(request: HttpRequest, body: HaltIn) -> dict[str, Any]:
    """Nothing new begins once this answers; what goes on is asked to stop. Stopping twice is one halt."""
    user = asker(request)
    return _report(request, halting.stop(user, body.scope, body.subject, body.reason))


@router.get("/{halt_id}", response=HaltReport, operation_id="get_halt", summary="What confirmed")
def get_halt(request: HttpRequest, halt_id: Text) -> dict[str, Any]:
    """A halt you may take back, with what was requested and what has confirmed."""
    return _report(request, halting.find(asker(request), halt_id, to_end=True))


@router.post("/{halt_id}/resume", response=HaltReport, operation_id="resume", summary="Take a halt back by a step")
def resume(request: HttpRequest, halt_id: Text, body: ResumeIn) -> dict[str, Any]:
    """Steps may be left out, none can be repeated. 409 when somebody else was first."""
    return _report(request, halting.resume(asker(request), halt_id, body.stage, body.agents))


def _report(request: HttpRequest, halt: Halt) -> dict[str, Any]:
    told = halt_report.report(asker(request), halt)
    return {
        **{
            name: getattr(halt, name)
            for name in ("id", "scope", "name", "reason", "stage", "chosen", "at", "lifted_at")
        },
        "requested": told.requested,
        "confirmed": told.confirmed,
        "stops": list(told.rows),
        "left": list(stages_after(halt.scope, halt.stage)),
    }
