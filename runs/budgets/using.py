"""How much of a budget is used: the sum of its charges, open ones included with what is reserved for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, IntegerField, Q, QuerySet, Sum, Value

from runs.budgets.limits import Key, Limit
from runs.budgets.nano import cost
from runs.budgets.windows import frees_at
from runs.models import Charge, ChargeState, UnknownPrice


@dataclass(slots=True)
class Use:
    """What counts in one budget now. ``open`` calls are under way and hold ``reserved`` of ``amount``."""

    amount: int = 0
    reserved: int = 0
    calls: int = 0
    open: int = 0
    unpriced: int = 0

    @property
    def is_at_least(self) -> bool:
        """Whether something in it has no known price."""
        return self.unpriced > 0


def charges(limit: Limit, now: datetime) -> QuerySet[Charge]:
    """The charges a budget counts."""
    rows = Charge.objects.filter(**{limit.column: limit.value}) if limit.column else Charge.objects.all()
    since = limit.since(now)
    return (
        rows
        if since is None
        else rows.filter(opened_at__gt=since)
        if limit.window == "day"
        else rows.filter(opened_at__gte=since)
    )


def use_of(limit: Limit, now: datetime) -> Use:
    """One query."""
    return uses_of([limit], now)[limit.key]


# A database takes only so many parts in one query.
MOST_PARTS = 100


def uses_of(limits: Sequence[Limit], now: datetime) -> dict[Key, Use]:
    """The use of each, in one query for every hundred."""
    found = {limit.key: Use() for limit in limits}
    distinct = list({limit.key: limit for limit in limits}.values())
    for start in range(0, len(distinct), MOST_PARTS):
        some = distinct[start : start + MOST_PARTS]
        parts = [_sums(limit, number, now) for number, limit in enumerate(some)]
        for number, *sums in parts[0].union(*parts[1:], all=True) if len(parts) > 1 else parts[0]:
            found[some[number].key] = _use(some[number], *sums)
    return found


def _sums(limit: Limit, number: int, now: datetime) -> QuerySet[Any, tuple[Any, ...]]:
    unpriced, going_on = Q(is_priced=False), Q(state=ChargeState.OPEN)
    rows = charges(limit, now).order_by().annotate(number=Value(number, IntegerField())).values("number")
    return rows.annotate(
        spent=Sum("amount"),
        reserved=Sum("amount", filter=going_on),
        calls=Count("pk"),
        open=Count("pk", filter=going_on),
        unpriced=Count("pk", filter=unpriced),
        input=Sum("input_tokens", filter=unpriced),
        output=Sum("output_tokens", filter=unpriced),
    ).values_list("number", "spent", "reserved", "calls", "open", "unpriced", "input", "output")


def _use(
    limit: Limit, spent: int | None, reserved: int | None, calls: int, going_on: int, unpriced: int, *tokens: int | None
) -> Use:
    use = Use(int(spent or 0), int(reserved or 0), calls, going_on, unpriced)
    if limit.unknown_price == UnknownPrice.ASSUME and unpriced:
        use.amount += cost(int(tokens[0] or 0), int(tokens[1] or 0), limit.assumed)
    return use


def room_again_at(limit: Limit, used: int, now: datetime) -> datetime | None:
    """When a budget that is used up has room again; None when nobody can tell."""
    spent = charges(limit, now).order_by("opened_at").values_list("opened_at", "amount")
    return frees_at(limit.window, limit.zone, now, spent.iterator(), used - limit.amount + 1)
