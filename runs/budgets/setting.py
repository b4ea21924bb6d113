"""Set, change and remove budgets: who may, and what a budget must say."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from django.db.models import Q, QuerySet

from agents import permissions
from agents.editing import editing
from agents.errors import Invalid, NotFound
from agents.models import Agent, ModelRoute, User
from runs.budgets.checking import prices_of
from runs.models import Budget, BudgetScope, Conversation, OnLimit, Run, UnknownPrice, Window

MOST = Decimal(999_999)
MAX_NAME = 80

# What a budget says; the others follow from who made it and when.
FIELDS = (
    *("name", "scope", "person", "agent", "subject", "window", "zone", "amount"),
    *("unknown_price", "assumed_input", "assumed_output", "on_limit", "fallback", "is_active"),
)
OF_AGENTS = (BudgetScope.AGENT, BudgetScope.RUN, BudgetScope.CONVERSATION, BudgetScope.SCHEDULE)


def seen_by(user: User) -> QuerySet[Budget]:
    """The budgets one may see: one's own, those of everybody, those of the agents one may see; admins all."""
    if permissions.role_of(user) == "":
        return Budget.objects.none()
    seen = permissions.visible(user, Budget.objects.order_by()).values("pk")
    everybody = Q(scope=BudgetScope.PERSON, person=None, is_active=True)
    return Budget.objects.filter(Q(pk__in=seen) | Q(person=user) | everybody).select_related(
        "person", "agent", "fallback"
    )


def fetch(user: User, budget_id: str) -> Budget:
    """One of them; NotFound otherwise."""
    found = seen_by(user).filter(pk=budget_id).first()
    if found is None:
        raise NotFound("Budget")
    return found


def may_set(user: User, scope: str, agent: Agent | None) -> bool:
    """May this person set such a budget? Those of one agent: who looks after it; all others: admins."""
    if agent is not None and scope in OF_AGENTS:
        return bool(permissions.allows(user, "agent.limit", agent))
    return permissions.may(user, "budget.set")


def create(user: User, **fields: Any) -> Budget:
    """A new budget. Raises NotFound (one may not), Invalid."""
    row = Budget(made_by=user)
    _fill(row, fields)
    _require_set(user, row)
    _check(row)
    row.save()
    return row


def change(user: User, budget_id: str, version: int | None, **fields: Any) -> Budget:
    """Set these fields. Raises NotFound, Stale, Invalid."""
    fetch(user, budget_id)
    with editing(user, "budget.view", Budget.objects.all(), budget_id, version) as row:
        _require_set(user, row)
        before = [getattr(row, name) for name in FIELDS]
        _fill(row, fields)
        _require_set(user, row)
        _check(row)
        if before != [getattr(row, name) for name in FIELDS]:
            row.save()
        return row


def remove(user: User, budget_id: str) -> None:
    """Delete one; what was spent stays in the ledger."""
    row = fetch(user, budget_id)
    _require_set(user, row)
    row.delete()


def _require_set(user: User, row: Budget) -> None:
    if not may_set(user, row.scope, row.agent):
        raise NotFound("Budget")


def _fill(row: Budget, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        if name not in FIELDS:
            raise Invalid(f"A budget has no {name}.", field=name)
        setattr(row, name, value.strip() if isinstance(value, str) else value)


def _check(row: Budget) -> None:
    """Raise Invalid with the field for what a budget cannot say."""
    if len(row.name) > MAX_NAME or not row.name.isprintable():
        raise Invalid(f"A name has at most {MAX_NAME} visible characters.", field="name")
    _among(row.scope, BudgetScope, "scope", "what it limits")
    _among(row.window, Window, "window", "the time it counts")
    _among(row.unknown_price, UnknownPrice, "unknown_price", "what becomes of unknown prices")
    _among(row.on_limit, OnLimit, "on_limit", "what becomes of the next message")
    row.amount = _money(row.amount, "amount", "An amount")
    if row.zone not in _zones():
        raise Invalid("There is no such time zone.", field="zone", action="Write one like Europe/Zurich, or UTC.")
    _check_whose(row)
    _check_prices(row)
    _check_fallback(row)


def _check_whose(row: Budget) -> None:
    if row.scope != BudgetScope.PERSON and row.person is not None:
        raise Invalid("Only a person's budget names a person.", field="person", action="Leave it empty.")
    if row.scope in (BudgetScope.SITE, BudgetScope.PERSON) and row.agent is not None:
        raise Invalid("Such a budget names no agent.", field="agent", action="Leave it empty.")
    if row.subject and row.scope not in (BudgetScope.RUN, BudgetScope.CONVERSATION, BudgetScope.SCHEDULE):
        raise Invalid("Only schedules, chats and runs are named by an id.", field="subject", action="Leave it empty.")
    if row.scope == BudgetScope.RUN:
        row.window = Window.LIFE  # a run has no other
    elif row.window == Window.LIFE and row.scope not in (BudgetScope.CONVERSATION, BudgetScope.SCHEDULE):
        raise Invalid(
            "Only schedules, chats and runs have a whole life to count.",
            field="window",
            action="Choose 24 hours or a month.",
        )
    model: Any = {BudgetScope.RUN: Run, BudgetScope.CONVERSATION: Conversation}.get(BudgetScope(row.scope))
    if row.subject and model is not None:
        found = model.objects.filter(pk=row.subject)
        if not (found.filter(agent=row.agent) if row.agent else found).exists():
            raise Invalid(
                f"There is no such {row.scope} of that agent." if row.agent else f"There is no such {row.scope}.",
                field="subject",
            )


def _check_prices(row: Budget) -> None:
    for name in ("assumed_input", "assumed_output"):
        value = getattr(row, name)
        if value is not None:
            setattr(row, name, _money(value, name, "A price"))
        elif row.unknown_price == UnknownPrice.ASSUME:
            raise Invalid("Say what to assume for models without a price.", field=name)


def _check_fallback(row: Budget) -> None:
    if row.on_limit != OnLimit.FALLBACK:
        return
    if row.fallback is None:
        raise Invalid("Say which model answers then.", field="fallback")
    if prices_of(row.fallback) != (0, 0):
        raise Invalid(
            f"{row.fallback.model} costs something, or nobody knows what it costs.",
            field="fallback",
            action="Choose a model whose prices are 0.",
        )


def free_routes(user: User) -> QuerySet[ModelRoute]:
    """The models that may stand in: those that cost nothing."""
    rows = ModelRoute.objects.filter(price_input=0, price_output=0).select_related("provider")
    return permissions.visible(user, rows).order_by("model")


def _money(value: Any, field: str, what: str) -> Decimal:
    if not isinstance(value, Decimal) or not value.is_finite() or not 0 <= value <= MOST or value != round(value, 6):
        raise Invalid(f"{what} is 0 to {MOST:,} USD, with at most six decimal places.", field=field)
    return value.quantize(Decimal("0.000001"))


def _among(value: str, choices: Any, field: str, what: str) -> None:
    if value not in choices.values:
        raise Invalid(f"Say {what}: {', '.join(choices.values)}.", field=field)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() | {"UTC"})
