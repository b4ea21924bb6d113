"""A model that costs nothing goes on in the place of a run's own while a budget has no room, and leaves by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from agents.errors import LogosError
from runs.budgets import words
from runs.budgets.limits import Limit
from runs.budgets.words import OverBudget
from runs.models import OnLimit
from sandboxes.inference.calls import RouteTarget
from sandboxes.inference.spending import Order
from sandboxes.inference.wires import of_kind

BEGAN, ENDED = "budget.fallback", "budget.back"

# Where calls on the route of this id go; None when it is gone or costs something now.
Find = Callable[[str], Awaitable[RouteTarget | None]]
Emit = Callable[[str, dict[str, Any]], object]


async def nobody(route_id: str) -> RouteTarget | None:
    """No other model is known here."""
    return None


def allows(error: LogosError, route_id: str) -> Limit | None:
    """The budget that lets another model go on when it has no room for this one; None when it does not."""
    limit = error.limit if isinstance(error, OverBudget) else None
    if limit is None or limit.on_limit != OnLimit.FALLBACK or limit.fallback_id in (None, route_id):
        return None
    return limit


def told(limit: Limit, target: tuple[str, str], text: str) -> dict[str, Any]:
    """The data of the event by which a run is told; ``target`` is a route's id and its model."""
    return {"text": text, "budget": limit.budget_id, "route": target[0], "model": target[1]}


class StandIn:
    """Who answers in the place of one run's own model. The run is told when that begins, and when it ends.

    While it lasts every call asks for its own model first: it is back as soon as a whole slice of an answer can be
    paid for, and not for a single word that would be cut again."""

    def __init__(self, find: Find, emit: Emit, known: Iterable[str] = ()) -> None:
        """``known`` are the kinds of the events the run has had."""
        self._find, self._emit = find, emit
        self._is_on = next((kind == BEGAN for kind in reversed(list(known)) if kind in (BEGAN, ENDED)), False)
        self._was_cut = False

    def least(self, order: Order, slice_: int) -> int:
        """How many output tokens a call must be able to pay for before it begins."""
        if not order.streaming:  # cannot be cut: it must be paid for whole before it is asked
            return order.output_cap
        return min(slice_, order.output_cap) if self._is_on or self._was_cut else 1

    def cut(self, error: LogosError, route_id: str) -> bool:
        """An answer was ended in the middle; whether another model may go on."""
        self._was_cut = allows(error, route_id) is not None
        return self._was_cut

    def began(self, order: Order) -> None:
        """A call was paid for: the run's own model is back, if it was away."""
        if self._is_on and (order.price_input, order.price_output) != (0, 0):
            self._is_on = False
            text = f"There is room in the budget again: {order.model} answers."
            self._emit(ENDED, {"text": text, "route": order.route_id, "model": order.model})
        if (order.price_input, order.price_output) != (0, 0):
            self._was_cut = False

    async def instead_of(self, target: RouteTarget, refusal: LogosError) -> RouteTarget | None:
        """Who answers now that this one may not; None: nobody."""
        limit = allows(refusal, target.route_id)
        other = await self._find(limit.fallback_id) if limit is not None and limit.fallback_id else None
        if limit is None or other is None or not isinstance(refusal, OverBudget):
            return None
        if of_kind(other.kind) is not of_kind(target.kind):
            # The request is written in a format it does not read; a new message is written in its own.
            refusal.action = f"Send the message again: {other.model} answers new messages. {refusal.action}"
            return None
        if not self._is_on:
            self._is_on = True
            text = words.goes_on(refusal, limit, other.model) if self._was_cut else ""
            text = text or words.fell_back(refusal, limit, other.model)
            self._emit(BEGAN, told(limit, (other.route_id, other.model), text))
        return other
