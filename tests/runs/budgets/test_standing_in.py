"""A run that reaches its budget goes on with a model that costs nothing, says so, and comes back by itself."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async

from agents.errors import LogosError
from agents.models import ModelRoute, User
from runs import work
from runs.budgets.limits import Spender
from runs.budgets.purse import AHEAD, RunPurse
from runs.budgets.purser import Purser
from runs.budgets.standing_in import BEGAN, ENDED, Find
from runs.models import Budget, Charge
from runs.withheld import BLIND
from sandboxes.inference.calls import RouteTarget
from tests.runs.budgets.conftest import ME, budget, spent
from tests.runs.budgets.test_purse import Told, order, pen, settled, usage

pytestmark = pytest.mark.django_db(transaction=True)

OWN = RouteTarget("route_1", "openai-compatible", "m", price_input=Decimal(1), price_output=Decimal(1))


async def find(route_id: str) -> RouteTarget | None:
    found: RouteTarget | None = await sync_to_async(work.stand_in)(route_id)
    return found


def purse_of(spender: Spender, told: Told, known: tuple[str, ...] = (), look: Find = find) -> RunPurse:
    return RunPurse(Purser(pen, ME), spender, told, look, known)


async def refused(purse: RunPurse, call: str = "infer_1", **more: object) -> LogosError:
    with pytest.raises(LogosError) as error:
        await purse.open(order(call, **more))  # type: ignore[arg-type]
    return error.value


async def test_the_next_call_goes_to_the_model_that_stands_in_and_the_run_says_so_once(
    spender: Spender, route: ModelRoute
) -> None:
    await sync_to_async(budget)(10, on_limit="fallback", fallback=route)
    told = Told()
    purse = purse_of(spender, told)

    other = await purse.stand_in(await refused(purse, input_tokens=20), OWN)
    again = await purse.stand_in(await refused(purse, "infer_2", input_tokens=20), OWN)

    assert other is not None
    assert again is not None
    assert (other.route_id, other.price_output, other.fallbacks) == (route.pk, 0, ())
    assert told.kinds() == [BEGAN]
    assert told[0][1]["model"] == route.model
    assert "does not pay for the next step" in told[0][1]["text"]
    assert f"{route.model} answers while that is so, which costs nothing" in told[0][1]["text"]


async def test_what_the_model_that_stands_in_says_costs_nothing_and_is_in_the_ledger(
    spender: Spender, route: ModelRoute
) -> None:
    await sync_to_async(budget)(10, on_limit="fallback", fallback=route)
    mine = Purser(pen, ME)
    purse = RunPurse(mine, spender, Told(), find)
    other = await purse.stand_in(await refused(purse, input_tokens=20), OWN)
    assert other is not None

    free = replace(order("infer_2", price=0), route_id=other.route_id)
    hold = await purse.open(free)
    hold.settle(usage(0))
    assert await mine.close(timeout_s=60) == 0

    rows = await sync_to_async(lambda: list(Charge.objects.values_list("pk", "route_id", "amount", "state")))()
    assert rows == [("infer_2", route.pk, 0, "settled")]


async def test_after_a_cut_another_word_that_could_be_paid_for_is_not_enough(
    spender: Spender, route: ModelRoute
) -> None:
    await sync_to_async(budget)(1_000, on_limit="fallback", fallback=route)
    mine, told = Purser(pen, ME), Told()
    purse = RunPurse(mine, spender, told, find)
    hold = await purse.open(order())
    await hold.cover(990)
    with pytest.raises(LogosError) as error:
        await hold.cover(1_001)
    assert hold.cut(error.value) is True
    hold.settle(usage(990))
    await settled(mine)

    refusal = await refused(purse, "infer_2")
    assert await purse.stand_in(refusal, OWN) is not None
    assert [kind for kind in told.kinds() if kind != "budget.warning"] == ["budget.cut", BEGAN]
    # What was said when the answer was cut is not said again.
    assert told[-1][1]["text"].startswith(route.model)
    assert await sync_to_async(spent)() == 990


async def test_the_own_model_is_back_as_soon_as_there_is_room(spender: Spender, route: ModelRoute) -> None:
    row = await sync_to_async(budget)(10, on_limit="fallback", fallback=route)
    told = Told()
    purse = purse_of(spender, told)
    await purse.stand_in(await refused(purse, input_tokens=20), OWN)

    await sync_to_async(Budget.objects.filter(pk=row.pk).update)(amount=Decimal(AHEAD) / 1_000_000)
    assert await purse.stand_in(await refused(purse, "infer_2", input_tokens=1), OWN) is not None
    await sync_to_async(Budget.objects.filter(pk=row.pk).update)(amount=Decimal(AHEAD + 1) / 1_000_000)
    await purse.open(order("infer_3", input_tokens=1))

    kinds = [kind for kind in told.kinds() if kind != "budget.warning"]
    assert kinds == [BEGAN, ENDED]
    assert next(data for kind, data in told if kind == ENDED)["text"] == "There is room in the budget again: m answers."


async def test_a_run_that_is_taken_over_does_not_say_it_again(spender: Spender, route: ModelRoute) -> None:
    await sync_to_async(budget)(10, on_limit="fallback", fallback=route)
    told = Told()
    purse = purse_of(spender, told, ("run.queued", BEGAN, "text.delta"))

    assert await purse.stand_in(await refused(purse, input_tokens=20), OWN) is not None
    assert told == []
    back = Told()
    ended = purse_of(spender, back, (BEGAN, ENDED))
    await ended.stand_in(await refused(ended, input_tokens=20), OWN)
    assert back.kinds() == [BEGAN]


@pytest.mark.parametrize("reason", ["refuse", "gone", "priced", "itself", "format"])
async def test_nobody_stands_in_where_nobody_can(spender: Spender, route: ModelRoute, reason: str) -> None:
    row = await sync_to_async(budget)(10, on_limit="fallback", fallback=route)
    if reason == "refuse":
        await sync_to_async(Budget.objects.filter(pk=row.pk).update)(on_limit="refuse")
    if reason == "gone":
        await sync_to_async(Budget.objects.filter(pk=row.pk).update)(fallback=None)
    if reason == "priced":
        await sync_to_async(ModelRoute.objects.filter(pk=route.pk).update)(price_output=Decimal("0.01"))
    told = Told()
    purse = purse_of(spender, told)
    own = replace(OWN, route_id=route.pk) if reason == "itself" else OWN
    own = replace(own, kind="anthropic") if reason == "format" else own
    error = await refused(purse, input_tokens=20)

    assert await purse.stand_in(error, own) is None
    assert told == []
    assert error.action.startswith("Send the message again: rehearsal-1 answers new") == (reason == "format")


def test_who_may_not_see_the_model_that_stands_in_does_not_read_its_name(route: ModelRoute, alice: User) -> None:
    data = {"text": "secret-model answers.", "budget": "b", "route": route.pk, "model": "secret-model"}

    told = BLIND.told(BEGAN, data)

    assert "secret-model" not in str(told)
    assert told["withheld"] is True
