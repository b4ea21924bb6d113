"""/api/asof: configuration as it was at a moment, or when a run began."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Query, Router, Schema

from agents import permissions
from agents.api.asking import asker
from agents.api.shapes import NEXT, Text
from agents.errors import Invalid
from agents.past import asof
from agents.past.kinds import kinds
from runs.asof import dimensions
from runs.models import Run

router = Router(tags=["History"])


class AsOfQuery(Schema):
    """Of what and when."""

    at: datetime | None = Field(None, description="With a time zone. Absent: now, or the beginning of the run.")
    run: Text = Field("", max_length=40, description="Instead of ``at``: when this run began.")
    kind: Literal["agent", "soul", "route", "policy", "preset", "provider"] = "agent"
    after: Text = Field("", max_length=60, description="The `next` of the page before; empty for the first page.")
    limit: int = Field(50, ge=1, le=100, description="How many items at most.")


class FactOut(Schema):
    """One field as it was."""

    label: str
    text: str


class ThenOut(Schema):
    """One row as it was. ``has_changed``: it is another by now; ``is_gone``: it is deleted by now."""

    kind: str
    id: str
    name: str
    facts: list[FactOut]
    since: datetime
    has_changed: bool
    is_gone: bool


class DimensionOut(Schema):
    """One of the five: what the STAMP recorded and what was configured; ``same`` is null when the row's past is not
    open to you."""

    name: str
    recorded: str
    then: str
    same: bool | None


class AsOfOut(Schema):
    """Rows of one kind as they were at ``at``, and for a run its five dimensions."""

    at: datetime
    dimensions: list[DimensionOut]
    items: list[ThenOut]
    next: str | None = NEXT

    model_config = {
        "json_schema_extra": {
            "example": {
                "at": "2026-11-20T09:12:44.120Z",
                "dimensions": [],
                "items": [
                    {
                        "kind": "agent",
                        "id": "agent_01jd9z6w3v8f4k2m7q5t0x1y9c",
                        "name": "atlas",
                        "facts": [{"label": "Soul", "text": "Steady hand"}],
                        "since": "2026-11-19T17:02:11.031Z",
                        "has_changed": True,
                        "is_gone": False,
                    }
                ],
                "next": None,
            }
        }
    }


@router.get("", response=AsOfOut, operation_id="as_of", summary="Configuration as it was")
def as_of(request: HttpRequest, query: Query[AsOfQuery]) -> dict[str, Any]:
    """Rows whose past is open to you: those you may edit, for operators those they may see, for admins all."""
    user = asker(request)
    run = permissions.fetch(user, "run.view", Run.objects.select_related("agent"), pk=query.run) if query.run else None
    at = run.created_at if run else query.at or timezone.now()
    if timezone.is_naive(at):
        raise Invalid("Say which time zone you mean.", field="at", action="For instance 2026-11-20T09:12:44Z.")
    model: Any = kinds()[query.kind]
    key = model._meta.pk.attname
    rows = asof.records(user, model, at).filter(**{f"{key}__gt": query.after}).order_by(key)
    found = list(rows[: query.limit + 1])
    items = asof.facts(user, query.kind, found[: query.limit], at)
    return {
        "at": at,
        "dimensions": dimensions(user, run) if run else [],
        "items": [
            {name: getattr(each, name) for name in ThenOut.model_fields if name != "facts"}
            | {"facts": [{"label": label, "text": text} for label, text in each.facts]}
            for each in items
        ],
        "next": items[-1].id if len(found) > query.limit else None,
    }
