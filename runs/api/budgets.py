"""/api/budgets: what may be spent, how much of it is, and who sets it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import permissions
from agents.api.asking import asker
from agents.api.shapes import NEXT, AgentRef, Money, PageQuery, Text, Version, given, page
from agents.errors import Invalid
from agents.models import Agent, ModelRoute, User
from runs.budgets import setting, showing
from runs.budgets.nano import usd
from runs.models import Budget, BudgetScope, OnLimit, UnknownPrice, Window

router = Router(tags=["Budgets"])

EXAMPLE: dict[str, Any] = {
    "id": "budget_01jd9z7c3f5h7k9n1q3s5v7x9z",
    "name": "",
    "scope": "agent",
    "person": None,
    "agent": {"id": "agent_01jd9z5y1a3c5e7g9j1m3p5r7t", "name": "atlas"},
    "subject": "",
    "window": "day",
    "zone": "UTC",
    "amount": "2.000000",
    "unknown_price": "refuse",
    "assumed_input": None,
    "assumed_output": None,
    "on_limit": "refuse",
    "fallback_id": None,
    "is_active": True,
    "used": "0.420000000",
    "reserved": "0.000000000",
    "is_at_least": False,
    "version": 1,
    "updated_at": "2026-11-21T09:12:44.120Z",
}


class BudgetOut(Schema):
    """A limit on what may be spent. Without a person, agent or subject it holds for each one of its scope."""

    id: str
    name: str
    scope: BudgetScope
    person: str | None = Field(None, description="Whose; null on a person's budget means each person by themselves.")
    agent: AgentRef | None = None
    subject: str = Field(description="The id of one schedule, conversation or run; empty means each one by itself.")
    window: Window = Field(description="`day`: the last 24 hours; `month`: the calendar month; `life`: all of it.")
    zone: str = Field(description="The time zone in which months begin.")
    amount: Money = Field(description="USD.")
    unknown_price: UnknownPrice
    assumed_input: Money | None = Field(None, description="USD per million tokens.")
    assumed_output: Money | None = Field(None, description="USD per million tokens.")
    on_limit: OnLimit
    fallback_id: str | None = Field(None, description="The local model that answers when it is used up.")
    is_active: bool
    used: Money | None = Field(None, description="USD, what is reserved included; null when it holds for each one.")
    reserved: Money | None = Field(None, description="Of it, for calls under way.")
    is_at_least: bool = Field(description="Some of it has no known price.")
    version: int
    updated_at: datetime

    model_config = {"json_schema_extra": {"example": EXAMPLE}}


class BudgetPage(Schema):
    """Budgets, the newest first."""

    items: list[BudgetOut]
    next: str | None = NEXT

    model_config = {"json_schema_extra": {"example": {"items": [EXAMPLE], "next": None}}}


AMOUNT = Field(ge=0, le=setting.MOST, description="USD, at most six decimal places.")
PRICE = Field(None, ge=0, le=setting.MOST, description="USD per million tokens.")


class BudgetIn(Schema):
    """A new budget."""

    name: Text = Field("", max_length=setting.MAX_NAME)
    scope: BudgetScope
    person: Text | None = Field(None, description="Username; for a person's budget.")
    agent_id: Text | None = None
    subject: Text = Field("", max_length=40)
    window: Window = Window.DAY
    zone: Text = Field("UTC", max_length=40)
    amount: Decimal = AMOUNT
    unknown_price: UnknownPrice = UnknownPrice.REFUSE
    assumed_input: Decimal | None = PRICE
    assumed_output: Decimal | None = PRICE
    on_limit: OnLimit = OnLimit.REFUSE
    fallback_id: Text | None = None
    is_active: bool = True

    model_config = {
        "extra": "forbid",
        "json_schema_extra": {
            "example": {"scope": "agent", "agent_id": EXAMPLE["agent"]["id"], "window": "day", "amount": "2.00"}
        },
    }


class BudgetPatch(Schema):
    """What is to change; what is left out stays."""

    version: Version
    name: Text | None = Field(None, max_length=setting.MAX_NAME)
    window: Window | None = None
    zone: Text | None = Field(None, max_length=40)
    amount: Decimal | None = Field(None, ge=0, le=setting.MOST, description="USD, at most six decimal places.")
    unknown_price: UnknownPrice | None = None
    assumed_input: Decimal | None = PRICE
    assumed_output: Decimal | None = PRICE
    on_limit: OnLimit | None = None
    fallback_id: Text | None = None
    is_active: bool | None = None

    model_config = {"json_schema_extra": {"example": {"version": 1, "amount": "5.00"}}}


@router.get("", response=BudgetPage, operation_id="list_budgets", summary="List budgets")
def list_budgets(request: HttpRequest, query: Query[PageQuery]) -> dict:
    """Those that concern you: your own, those of everybody, and those of agents you look after."""
    user = asker(request)
    found = page(setting.seen_by(user), query)
    return {**found, "items": _shown(user, found["items"])}


@router.post("", response={201: BudgetOut}, operation_id="create_budget", summary="Set a budget")
def create_budget(request: HttpRequest, body: BudgetIn) -> dict:
    """Those of an agent are set by operators who manage it, all others by admins."""
    user = asker(request)
    return _shown(user, [setting.create(user, **_rows(user, body.dict()))])[0]


@router.get("/{budget_id}", response=BudgetOut, operation_id="get_budget", summary="Read a budget")
def get_budget(request: HttpRequest, budget_id: Text) -> dict:
    """One budget and what is used of it now."""
    user = asker(request)
    return _shown(user, [setting.fetch(user, budget_id)])[0]


@router.patch("/{budget_id}", response=BudgetOut, operation_id="change_budget", summary="Change a budget")
def change_budget(request: HttpRequest, budget_id: Text, body: BudgetPatch) -> dict:
    """It holds from the next call on. 409 `stale` when somebody saved since the `version` you read."""
    user = asker(request)
    fields = _rows(user, given(body, ("assumed_input", "assumed_output", "fallback_id")))
    return _shown(user, [setting.change(user, budget_id, body.version, **fields)])[0]


@router.delete("/{budget_id}", response={204: None}, operation_id="delete_budget", summary="Delete a budget")
def delete_budget(request: HttpRequest, budget_id: Text) -> None:
    """Nothing keeps to it any more; what was spent stays in the ledger."""
    setting.remove(asker(request), budget_id)


def _rows(user: User, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with the rows that are named in the places of their names."""
    if "agent_id" in fields:
        named = fields.pop("agent_id")
        fields["agent"] = named and permissions.fetch(user, "agent.view", Agent.objects.alive(), pk=named)
    if "fallback_id" in fields:
        named = fields.pop("fallback_id")
        rows = ModelRoute.objects.select_related("provider")
        fields["fallback"] = named and permissions.fetch(user, "route.view", rows, pk=named)
    if fields.get("person"):
        # Only who may set any budget may name people, so that nobody can ask who is here.
        permissions.require(user, "budget.set")
        found = User.objects.filter(username=fields["person"]).first()
        if found is None:
            raise Invalid("There is no person of this name.", field="person")
        fields["person"] = found
    return fields


def _shown(user: User, rows: list[Budget]) -> list[dict[str, Any]]:
    return [
        {
            **{name: getattr(one.budget, name) for name in BudgetOut.model_fields if hasattr(one.budget, name)},
            "person": one.budget.person and one.budget.person.username,
            "used": None if one.use is None else usd(one.use.amount),
            "reserved": None if one.use is None else usd(one.use.reserved),
            "is_at_least": one.use is not None and one.use.is_at_least,
        }
        for one in showing.shown(user, rows)
    ]
