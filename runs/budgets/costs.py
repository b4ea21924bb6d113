"""What was spent: by agent, person, model or day; and what the same calls would have cost with another model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from agents import permissions
from agents.errors import Invalid
from agents.models import ModelRoute, Role, User
from runs.budgets.checking import prices_of
from runs.budgets.nano import cost, usd
from runs.models import Charge

BY = {"agent": F("agent__name"), "person": F("person__username"), "model": F("model"), "day": TruncDate("opened_at")}
MOST_DAYS = 366
SHOWN = 100
NOBODY = {"agent": "an agent that is gone", "person": "a person who is gone"}


@dataclass(frozen=True, slots=True)
class Line:
    """One agent, person, model or day. ``instead``: on the other model; None when none was asked about."""

    name: str
    calls: int
    input_tokens: int
    output_tokens: int
    amount: Decimal
    is_at_least: bool
    instead: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Costs:
    """Lines, the dearest first (days: the newest), and their sum, which counts those not shown too."""

    by: str
    days: int
    lines: list[Line]
    total: Line
    on: ModelRoute | None = None


def charges_of(user: User, by: str) -> QuerySet[Charge]:
    """What this person may know the cost of: calls they asked for, and those of agents they manage. Who else asked is
    for operators and admins."""
    mine = Q(person=user)
    if by == "person" and permissions.role_of(user) not in (Role.ADMIN, Role.OPERATOR):
        return Charge.objects.filter(mine)
    seen = permissions.visible(user, Charge.objects.order_by()).values("pk")
    return (
        Charge.objects.all()
        if permissions.role_of(user) == Role.ADMIN
        else Charge.objects.filter(mine | Q(pk__in=seen))
    )


def costs(user: User, by: str = "agent", days: int = 30, on: ModelRoute | None = None) -> Costs:
    """Two queries. Raises Invalid."""
    if by not in BY:
        raise Invalid(f"Costs are told by {', '.join(BY)}.", field="by")
    if not 1 <= days <= MOST_DAYS:
        raise Invalid(f"Costs are told for 1 to {MOST_DAYS} days.", field="days")
    prices = prices_of(on) if on is not None else None
    if on is not None and prices is None:
        raise Invalid(f"The price of {on.model} is unknown, so nothing can be compared with it.", field="on")
    rows = charges_of(user, by).order_by().filter(opened_at__gt=timezone.now() - timedelta(days=days))
    sums: dict[str, Any] = {
        "calls": Count("pk"),
        "spent": Sum("amount"),
        "unpriced": Count("pk", filter=Q(is_priced=False)),
        "sent": Sum("input_tokens"),
        "got": Sum("output_tokens"),
    }

    def line(name: str, row: dict[str, Any]) -> Line:
        sent, got = int(row["sent"] or 0), int(row["got"] or 0)
        instead = usd(cost(sent, got, prices)) if prices is not None else None
        return Line(name, row["calls"], sent, got, usd(int(row["spent"] or 0)), bool(row["unpriced"]), instead)

    grouped = rows.annotate(key=BY[by]).values("key").annotate(**sums)
    ordered = grouped.order_by("-key" if by == "day" else "-spent", "key")[:SHOWN]
    lines = [line(str(row["key"] or NOBODY.get(by, "")), dict(row)) for row in ordered]
    return Costs(by, days, lines, line("all", rows.aggregate(**sums)), on)
