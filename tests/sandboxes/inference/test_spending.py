"""A call asks its run's purse before anything is spent, and ends before the chunk that would cost more than allowed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from decimal import Decimal

import pytest

from agents.errors import Code, LogosError
from sandboxes.inference.calls import RouteTarget
from sandboxes.inference.lanes import Lease
from sandboxes.inference.spending import Bill, Order
from tests.sandboxes.inference.conftest import House

SPENT = LogosError("The budget is used up.", reason=Code.BUDGET_EXCEEDED, action="Ask somebody to raise it.")


@dataclass
class Hold:
    """Covers what it is asked to, up to ``most``."""

    purse: Purse
    covered: int

    async def cover(self, output_tokens: int) -> None:
        self.purse.asked.append(output_tokens)
        await asyncio.sleep(0)
        if output_tokens > self.purse.most:
            raise SPENT
        self.covered = output_tokens

    def look_ahead(self, output_tokens: int) -> None:
        self.purse.looked.append(output_tokens)

    def cut(self, error: LogosError) -> bool:
        self.purse.cuts.append(error)
        return self.purse.other is not None

    def settle(self, bill: Bill) -> None:
        self.purse.bills.append(bill)


@dataclass
class Purse:
    most: int = 1_000_000
    first: int = 1
    asked: list[int] = field(default_factory=list)
    looked: list[int] = field(default_factory=list)
    cuts: list[LogosError] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    bills: list[Bill] = field(default_factory=list)
    other: RouteTarget | None = None  # who answers when there is no room; costs nothing

    async def open(self, order: Order) -> Hold:
        self.orders.append(order)
        if self.other is not None and order.route_id == self.other.route_id:
            return Hold(self, order.output_cap)
        if self.most == 0 or (not order.streaming and order.output_cap > self.most):
            raise SPENT
        return Hold(self, self.first)

    async def stand_in(self, refusal: LogosError, target: RouteTarget) -> RouteTarget | None:
        return None if self.other is None or target.route_id == self.other.route_id else self.other


def lease(house: House, model: str, purse: Purse, **more: object) -> Lease:
    found = house.lease(model, **more)
    found.purse = purse
    return found


async def test_a_call_that_may_not_begin_reaches_no_provider(house: House) -> None:
    reply = await house.ask(lease(house, "text", Purse(most=0)))

    assert (reply.status, reply.error["code"], reply.error["action"]) == (402, "budget_exceeded", SPENT.action)
    assert not house.provider.requests
    record = house.story.records[0]
    assert (record.status, record.error_code, record.cost) == (402, "budget_exceeded", 0)


async def test_nobody_else_is_asked_when_the_purse_is_empty(house: House) -> None:
    held = lease(house, "503", Purse(most=0))
    held.target = replace(held.target, fallbacks=(house.target("text", route_id="route_2"),))

    assert (await house.ask(held)).status == 402
    assert not house.provider.requests


async def test_another_model_answers_in_the_place_of_one_that_may_not(house: House) -> None:
    other = house.target("reasoning", route_id="route_free", price_input=Decimal(0), price_output=Decimal(0))
    purse = Purse(most=0, other=other)
    held = lease(house, "text", purse)
    reply = await house.ask(held)

    assert reply.status == 200
    assert [request["model"] for request in house.provider.requests] == ["reasoning"]
    assert [order.route_id for order in purse.orders] == [held.target.route_id, "route_free"]
    assert len({order.call_id for order in purse.orders}) == 2
    assert [(record.route_id, record.cost) for record in house.story.records] == [("route_free", 0)]


async def test_a_model_that_stands_in_and_fails_has_nobody_in_its_place(house: House) -> None:
    purse = Purse(most=0, other=house.target("500", route_id="route_free"))

    assert (await house.ask(lease(house, "text", purse))).status == 500
    assert [record.route_id for record in house.story.records] == ["route_free"]


async def test_a_runtime_is_told_to_ask_again_when_another_model_goes_on(house: House) -> None:
    purse = Purse(most=2, other=house.target("text", route_id="route_free"))
    reply = await house.ask(lease(house, "text", purse))

    assert reply.chunks[-1]["error"]["message"] == f"Connection closed: {SPENT.message}"
    assert house.story.records[0].error_message == SPENT.message


async def test_an_answer_ends_before_the_chunk_that_would_cost_too_much(house: House) -> None:
    purse = Purse(most=2)
    reply = await house.ask(lease(house, "text", purse))

    assert reply.status == 200
    assert not reply.broke_off
    said = [each for each in reply.chunks if "error" not in each]
    assert "".join(choice["delta"].get("content") or "" for each in said for choice in each["choices"]) == "Hello "
    assert reply.chunks[-1]["error"]["code"] == "budget_exceeded"
    assert b"[DONE]" not in reply.body
    record = house.story.records[0]
    assert (record.error_code, record.status, record.is_estimate) == ("budget_exceeded", 200, True)
    assert record.cost == purse.bills[0].cost > 0
    assert (purse.bills[0].basis, purse.bills[0].output_tokens) == ("counted", 2)
    assert purse.cuts == [SPENT]


async def test_what_was_cut_is_told_to_nobody(house: House) -> None:
    await house.ask(lease(house, "tools", Purse(most=1)))

    assert house.story.told == []


async def test_a_whole_answer_is_billed_as_the_provider_told(house: House) -> None:
    purse = Purse(first=1_000)
    reply = await house.ask(lease(house, "text", purse))

    assert reply.text == "Hello wörld."
    assert purse.bills == [Bill(100, 20, 40, Decimal("0.0006"), "usage")]
    assert purse.asked == []
    assert (house.story.records[0].cost, house.story.records[0].is_estimate) == (Decimal("0.0006"), False)


async def test_more_is_asked_for_when_little_is_left(house: House) -> None:
    purse = Purse(first=100)
    await house.ask(lease(house, "text", purse))

    assert purse.looked
    assert not purse.asked


async def test_an_answer_without_usage_is_billed_as_counted(house: House) -> None:
    purse = Purse(first=1_000)
    await house.ask(lease(house, "no-usage", purse))

    bill = purse.bills[0]
    assert (bill.basis, bill.output_tokens) == ("counted", 4)
    assert bill.input_tokens > 10
    assert house.story.records[0].cost == bill.cost


@pytest.mark.parametrize("model", ["401", "429", "500", "drops", "html", "redirect", "text-plain"])
async def test_a_provider_that_refuses_costs_nothing(house: House, model: str) -> None:
    purse = Purse(first=1_000)
    await house.ask(lease(house, model, purse))

    assert [bill.basis for bill in purse.bills] == ["nothing"]
    assert house.story.records[0].cost == 0


@pytest.mark.parametrize("model", ["cut", "error-chunk", "ends-early"])
async def test_an_answer_that_breaks_off_costs_what_came(house: House, model: str) -> None:
    purse = Purse(first=1_000)
    await house.ask(lease(house, model, purse))

    assert (purse.bills[0].basis, purse.bills[0].output_tokens) == ("counted", 4)
    assert house.story.records[0].is_estimate


async def test_a_runtime_that_leaves_is_billed_for_what_it_got(house: House) -> None:
    purse = Purse(first=1_000)
    asked, got = {"model": "m", "stream": True, "messages": []}, b""
    response = await house.client.post(house.url(lease(house, "idle", purse)), json=asked)
    async with asyncio.timeout(60):
        while b"rld." not in got:
            got += await response.content.readany()
        response.close()
        while not purse.bills:
            await asyncio.sleep(0.01)

    assert (purse.bills[0].basis, purse.bills[0].output_tokens) == ("counted", 4)


async def test_what_does_not_stream_must_be_paid_for_whole(house: House) -> None:
    purse = Purse(most=99)
    held = lease(house, "text", purse)

    assert (await house.ask(held, stream=False, max_tokens=100)).status == 402
    assert (await house.ask(held, stream=False, max_tokens=99)).status == 200
    assert [order.output_cap for order in purse.orders] == [100, 99]
    assert [bill.basis for bill in purse.bills] == ["usage"]


async def test_a_prompt_is_never_more_than_the_model_can_read(house: House) -> None:
    purse = Purse(first=1_000)
    await house.ask(lease(house, "text", purse, context_length=500), messages=[{"role": "user", "content": "x" * 9000}])

    assert purse.orders[0].input_tokens == 500
