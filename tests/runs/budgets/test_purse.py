"""The purse of a run: reserves ahead in slices, tells the run what it reached, and fails closed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from agents.errors import LogosError
from runs.budgets import ledger, purser
from runs.budgets.limits import Spender
from runs.budgets.purse import AHEAD, RunPurse
from runs.budgets.purser import Purser
from runs.models import Charge
from sandboxes.inference.spending import Bill, Order
from tests.runs.budgets.conftest import ME, TOKEN, budget, spent

pytestmark = pytest.mark.django_db(transaction=True)

Pen = Callable[..., Awaitable[Any]]


async def pen(function: Callable[..., Any], *args: Any) -> Any:
    return await sync_to_async(function)(*args)


class Told(list[tuple[str, dict[str, Any]]]):
    def __call__(self, kind: str, data: dict[str, Any]) -> None:
        self.append((kind, data))

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self]


def order(call: str = "infer_1", *, price: int | None = 1, cap: int = 10_000, **more: Any) -> Order:
    values: dict[str, Any] = {"input_tokens": 0, "output_cap": cap, "streaming": True}
    prices = None if price is None else Decimal(price)
    return Order(call, "route_1", "m", prices, prices, **{**values, **more})


def usage(tokens: int) -> Bill:
    return Bill(0, tokens, 0, Decimal(tokens) / 1_000_000, "usage")


async def rows() -> list[tuple[str, int]]:
    return await sync_to_async(lambda: list(Charge.objects.order_by("pk").values_list("state", "amount")))()


async def settled(of: Purser) -> None:
    assert await of.close(timeout_s=60) == 0


async def test_a_call_is_reserved_ahead_and_settled_for_what_it_used(spender: Spender) -> None:
    mine, told = Purser(pen, ME), Told()
    hold = await RunPurse(mine, spender, told).open(order())

    assert hold.covered == 1 + AHEAD
    assert await rows() == [("open", (1 + AHEAD) * TOKEN)]
    await hold.cover(2_000)
    assert hold.covered >= 2_000
    assert await rows() == [("open", hold.covered * TOKEN)]
    hold.settle(usage(1_700))
    await settled(mine)

    assert await rows() == [("settled", 1_700 * TOKEN)]
    assert told == []


async def test_more_is_reserved_while_the_answer_goes_on(spender: Spender) -> None:
    mine = Purser(pen, ME)
    hold = await RunPurse(mine, spender, Told()).open(order())
    hold.look_ahead(400)
    hold.look_ahead(401)
    await hold.cover(1_000)

    assert hold.covered == 1 + 2 * AHEAD


async def test_what_costs_nothing_is_reserved_at_once(spender: Spender) -> None:
    await sync_to_async(budget)(1)
    hold = await RunPurse(Purser(pen, ME), spender, Told()).open(order(price=0))

    assert hold.covered == 10_000


async def test_a_call_without_room_is_refused_and_leaves_nothing_open(spender: Spender) -> None:
    await sync_to_async(budget)(10)
    mine = Purser(pen, ME)
    purse = RunPurse(mine, spender, Told())

    with pytest.raises(LogosError, match="does not pay for the next step"):
        await purse.open(order(input_tokens=11))
    with pytest.raises(LogosError, match="does not pay for the next step"):
        await purse.open(order("infer_2", streaming=False, cap=11))
    hold = await purse.open(order("infer_3", streaming=False, cap=10))
    assert hold.covered == 10
    await settled(mine)
    assert await rows() == [("open", 10 * TOKEN)]


async def test_an_answer_may_go_to_the_last_token_that_is_paid_for(spender: Spender) -> None:
    await sync_to_async(budget)(1_000)
    await sync_to_async(budget)(2_000, scope="person", person_id=spender.person_id)
    mine, told = Purser(pen, ME), Told()
    hold = await RunPurse(mine, spender, told).open(order())

    await hold.cover(1_000)
    with pytest.raises(LogosError, match=r"budget of this Logos is used up\.") as refusal:
        await hold.cover(1_001)
    hold.cut(refusal.value)
    hold.settle(usage(1_000))
    await settled(mine)

    assert await sync_to_async(spent)() == 1_000
    assert told.kinds()[-1] == "budget.cut"
    warned = [(data["scope"], data["percent"]) for kind, data in told if kind == "budget.warning"]
    assert sorted(warned) == [("person", 50), ("site", 50), ("site", 100)]
    assert any("the budget of alice" in data["text"] for _, data in told)


async def test_a_call_that_is_given_up_while_it_reserves_leaves_nothing_open(spender: Spender) -> None:
    go_on = asyncio.Event()

    async def slow(function: Callable[..., Any], *args: Any) -> Any:
        await go_on.wait()
        return await pen(function, *args)

    mine = Purser(slow, ME)
    opening = asyncio.create_task(RunPurse(mine, spender, Told()).open(order()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    go_on.set()
    await settled(mine)

    assert await rows() == [("settled", 0)]


async def test_when_the_ledger_cannot_be_written_nothing_may_be_spent(
    spender: Spender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purser, "FIRST_PAUSE_S", 0.001)

    async def full(function: Callable[..., Any], *args: Any) -> Any:
        raise OSError("disk full")

    with pytest.raises(LogosError, match="could not be checked"):
        await RunPurse(Purser(full, ME), spender, Told()).open(order())


async def test_a_settlement_waits_for_as_long_as_the_ledger_cannot_be_written(
    spender: Spender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purser, "FIRST_PAUSE_S", 0.001)
    failures = iter([False] + [True] * 7)

    async def flaky(function: Callable[..., Any], *args: Any) -> Any:
        if next(failures, False):
            raise OSError("disk full")
        return await pen(function, *args)

    mine = Purser(flaky, ME)
    hold = await RunPurse(mine, spender, Told()).open(order())
    hold.settle(usage(3))
    await settled(mine)

    assert await rows() == [("settled", 3 * TOKEN)]


async def test_an_engine_that_was_taken_for_dead_is_cut_rather_than_unpaid(spender: Spender) -> None:
    mine = Purser(pen, ME)
    hold = await RunPurse(mine, spender, Told()).open(order())
    await sync_to_async(ledger.settle_left)([ME])

    with pytest.raises(LogosError, match="could not be checked"):
        await hold.cover(5_000)
    hold.settle(usage(100))
    await settled(mine)
    assert await rows() == [("settled", (1 + AHEAD) * TOKEN)]


async def test_many_calls_at_once_go_to_the_ledger_together(spender: Spender) -> None:
    transactions = []

    async def counted(function: Callable[..., Any], ops: list[Any], holder: str) -> Any:
        transactions.append(len(ops))
        return await pen(function, ops, holder)

    purse = RunPurse(Purser(counted, ME), spender, Told())
    holds = await asyncio.gather(*(purse.open(order(f"infer_{number}")) for number in range(300)))

    assert {hold.covered for hold in holds} == {1 + AHEAD}
    assert len(transactions) <= 3
