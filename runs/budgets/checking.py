"""Before work starts: may this message be carried out, by the budgets it would draw from?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from agents.models import ModelRoute
from runs.budgets import standing_in, words
from runs.budgets.limits import Limit, Spender, limits_now
from runs.budgets.nano import Prices
from runs.budgets.using import room_again_at, use_of
from runs.models import OnLimit, UnknownPrice

# The least a first call sends beside the message (instructions, tools) and gets back.
LEAST_INPUT, LEAST_OUTPUT = 1_000, 16


def prices_of(route: ModelRoute) -> Prices | None:
    """What a route's tokens cost; None when one of them is not known."""
    if route.price_input is None or route.price_output is None:
        return None
    return route.price_input, route.price_output


@dataclass(frozen=True, slots=True)
class Admission:
    """Which model may answer; ``notice`` is the event that says so when it is not the agent's own."""

    route: ModelRoute
    notice: dict[str, Any] | None = None


def admit(spender: Spender, route: ModelRoute, text: str) -> Admission:
    """Raise OverBudget when a budget has no room for even the first call. What it will cost is reserved only when the
    call is made: a message that waits in a queue keeps nobody from theirs."""
    limits = limits_now(spender)
    try:
        for limit in limits:
            require_room_in(limit, route, text)
    except words.OverBudget as error:
        other = _stand_in(error.limit, route)
        if other is None or error.limit is None:
            raise
        try:
            for limit in limits:
                require_room_in(limit, other, text)
        except words.OverBudget:
            raise error from None
        text = words.fell_back(error, error.limit, other.model)
        return Admission(other, standing_in.told(error.limit, (other.pk, other.model), text))
    return Admission(route)


def _stand_in(limit: Limit | None, route: ModelRoute) -> ModelRoute | None:
    """The model that answers for nothing when this budget is used up."""
    if limit is None or limit.on_limit != OnLimit.FALLBACK or limit.fallback_id in (None, route.pk):
        return None
    other = ModelRoute.objects.select_related("provider").filter(pk=limit.fallback_id).first()
    return other if other is not None and prices_of(other) == (0, 0) else None


def require_room_in(limit: Limit, route: ModelRoute, text: str) -> None:
    """The same for one budget."""
    prices, now = prices_of(route), timezone.now()
    if prices is None and limit.unknown_price == UnknownPrice.REFUSE:
        raise words.unpriced(limit, route.model)
    needed = limit.cost(LEAST_INPUT + len(text.encode(errors="replace")) // 4, LEAST_OUTPUT, prices)
    if not needed:
        return
    used = use_of(limit, now).amount
    if used + needed > limit.amount:
        raise words.over(limit, used, room_again_at(limit, used, now))
