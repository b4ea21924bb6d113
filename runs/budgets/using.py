"""How much of a budget is used: the sum of its charges, open ones included with what is reserved for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q, QuerySet, Sum

from runs.budgets.limits import Limit
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
    unpriced, going_on = Q(is_priced=False), Q(state=ChargeState.OPEN)
    found = (
        charges(limit, now)
        .order_by()
        .aggregate(
            spent=Sum("amount"),
            reserved=Sum("amount", filter=going_on),
            calls=Count("pk"),
            open=Count("pk", filter=going_on),
            unpriced=Count("pk", filter=unpriced),
            input=Sum("input_tokens", filter=unpriced),
            output=Sum("output_tokens", filter=unpriced),
        )
    )
    use = Use(found["spent"] or 0, found["reserved"] or 0, found["calls"], found["open"], found["unpriced"])
    if limit.unknown_price == UnknownPrice.ASSUME and use.unpriced:
        use.amount += cost(found["input"] or 0, found["output"] or 0, limit.assumed)
    return use


def room_again_at(limit: Limit, used: int, now: datetime) -> datetime | None:
    """When a budget that is used up has room again; None when nobody can tell."""
    spent = charges(limit, now).order_by("opened_at").values_list("opened_at", "amount")
    return frees_at(limit.window, limit.zone, now, spent.iterator(), used - limit.amount + 1)
