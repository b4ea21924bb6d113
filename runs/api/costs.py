"""/api/costs: what was spent, and what the same calls would have cost with another model."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import permissions
from agents.api.asking import asker
from agents.api.shapes import Money, Text
from agents.models import ModelRoute
from runs.budgets import costs

router = Router(tags=["Budgets"])

LINE: dict[str, Any] = {
    "name": "atlas",
    "calls": 128,
    "input_tokens": 910_000,
    "output_tokens": 41_000,
    "amount": "3.345000000",
    "is_at_least": False,
    "instead": "0.239150000",
}


class CostLine(Schema):
    """One agent, person, model or day."""

    name: str
    calls: int
    input_tokens: int
    output_tokens: int
    amount: Money = Field(description="USD, what is reserved for calls under way included.")
    is_at_least: bool = Field(description="Some of it has no known price.")
    instead: Money | None = Field(None, description="USD, had the model of `on` answered.")

    model_config = {"json_schema_extra": {"example": LINE}}


class CostsOut(Schema):
    """What was spent over the last days."""

    by: Literal["agent", "person", "model", "day"]
    days: int
    lines: list[CostLine] = Field(description="The dearest hundred; days: the newest.")
    total: CostLine

    model_config = {
        "json_schema_extra": {"example": {"by": "agent", "days": 30, "lines": [LINE], "total": {**LINE, "name": "all"}}}
    }


class CostsQuery(Schema):
    """What to tell."""

    by: Literal["agent", "person", "model", "day"] = "agent"
    days: int = Field(30, ge=1, le=costs.MOST_DAYS)
    on: Text = Field("", max_length=40, description="A model route: what the same calls would have cost there.")


@router.get("", response=CostsOut, operation_id="read_costs", summary="What was spent")
def read_costs(request: HttpRequest, query: Query[CostsQuery]) -> costs.Costs:
    """Of calls you asked for and of agents you manage; by person only for operators and admins."""
    user = asker(request)
    rows = ModelRoute.objects.select_related("provider")
    route = permissions.fetch(user, "route.view", rows, pk=query.on) if query.on else None
    return costs.costs(user, query.by, query.days, route)
