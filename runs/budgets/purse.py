"""The purse of one run: what the inference router asks before it spends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from agents.errors import LogosError
from runs.budgets.ledger import Answer, Reserve, Settle
from runs.budgets.limits import Spender
from runs.budgets.nano import nano
from runs.budgets.purser import Purser
from runs.budgets.standing_in import Find, StandIn, nobody
from runs.models import Basis
from sandboxes.inference.calls import RouteTarget
from sandboxes.inference.spending import Bill, Order

logger = logging.getLogger(__name__)

# So many output tokens are reserved ahead: after a crash a call is charged at most this much too much.
AHEAD = 512

# Records an event of the run: kind, data.
Emit = Callable[[str, dict[str, Any]], object]


class RunPurse:
    """Opens a hold for each of a run's calls; see ``sandboxes.inference.spending.Purse``."""

    def __init__(
        self, purser: Purser, spender: Spender, emit: Emit, find: Find = nobody, known: Iterable[str] = ()
    ) -> None:
        """``find`` knows other models; ``known`` are the kinds of the events the run has had."""
        self._purser, self._spender, self._emit = purser, spender, emit
        self._other = StandIn(find, emit, known)

    async def open(self, order: Order) -> RunHold:
        """Reserve what the call needs to begin. Raises LogosError (``budget_exceeded``)."""
        known = order.price_input is not None and order.price_output is not None
        hold = RunHold(
            self, order, (order.price_input or Decimal(0), order.price_output or Decimal(0)) if known else None
        )
        try:
            await hold.reserve(self._other.least(order, AHEAD), is_new=True)
        except BaseException:
            hold.settle(Bill(0, 0, 0, Decimal(0), Basis.NOTHING))  # whatever became of the row
            raise
        self._other.began(order)
        return hold

    async def stand_in(self, refusal: LogosError, target: RouteTarget) -> RouteTarget | None:
        """Who answers for nothing in the place of a call that may not be made; the run is told."""
        return await self._other.instead_of(target, refusal)

    async def reserve(self, op: Reserve) -> int:
        answer = await self._purser.reserve(op)
        self.tell(answer)
        if answer.refusal is not None:
            raise answer.refusal
        return answer.covered

    def settle(self, op: Settle) -> None:
        self._purser.settle(op).add_done_callback(self._settled)

    def cut(self, error: LogosError, route_id: str) -> bool:
        """An answer was ended in the middle; whether another model may go on."""
        self._emit("budget.cut", {"text": error.message, "action": error.action, "code": error.reason})
        return self._other.cut(error, route_id)

    def tell(self, answer: Answer) -> None:
        for each in answer.told:
            self._emit("budget.warning", each.data())

    def _settled(self, future: asyncio.Future[Answer]) -> None:
        if not future.cancelled():
            self.tell(future.result())

    @property
    def spender(self) -> Spender:
        return self._spender


class RunHold:
    """What is reserved for one call. ``covered`` output tokens are stored as paid for."""

    def __init__(self, purse: RunPurse, order: Order, prices: tuple[Decimal, Decimal] | None) -> None:
        self._purse, self._order, self._prices = purse, order, prices
        self.covered = 0
        self._ahead: asyncio.Task[None] | None = None
        self._may_look_ahead = True

    async def reserve(self, needed: int, *, is_new: bool = False) -> None:
        """Have ``needed`` output tokens covered, and some more if there is room. Raises LogosError."""
        order = self._order
        ahead = order.output_cap if self._prices == (0, 0) else needed + AHEAD
        wanted = max(needed, min(ahead, order.output_cap))
        op = Reserve(
            order.call_id, self._purse.spender, order.route_id, order.model, self._prices, order.input_tokens,
            needed, wanted, is_new,
        )  # fmt: skip
        self.covered = max(self.covered, await self._purse.reserve(op))

    async def cover(self, output_tokens: int) -> None:
        """Return once these are covered; raises LogosError when they cannot be."""
        if self._ahead is not None:
            await asyncio.wait([self._ahead])
        if output_tokens > self.covered:
            await self.reserve(output_tokens)
            self._may_look_ahead = self.covered > output_tokens

    def look_ahead(self, output_tokens: int) -> None:
        """Half of what was reserved ahead is used: reserve on while the answer goes on."""
        if self._may_look_ahead and self._ahead is None and self.covered < self._order.output_cap:
            self._ahead = asyncio.get_running_loop().create_task(self._reserve_ahead(self.covered))

    async def _reserve_ahead(self, needed: int) -> None:
        # When nothing was to be had, nobody asks again before it is needed.
        self._may_look_ahead = False
        try:
            await self.reserve(needed)
            self._may_look_ahead = self.covered > needed
        except LogosError:
            pass  # said when it is needed
        except Exception:
            logger.exception("Nothing could be reserved ahead")
        finally:
            self._ahead = None

    def cut(self, error: LogosError) -> bool:
        """The answer was ended in the middle, because ``error``; whether another model may go on."""
        return self._purse.cut(error, self._order.route_id)

    def settle(self, bill: Bill) -> None:
        """The call is over."""
        amount = None if self._prices is None else nano(bill.cost or Decimal(0))
        self._purse.settle(
            Settle(
                self._order.call_id, self._purse.spender, amount, bill.input_tokens, bill.output_tokens,
                bill.cached_tokens, Basis(bill.basis),
            )
        )  # fmt: skip
