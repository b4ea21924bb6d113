"""However many calls draw from one budget at once, it is used to the last token, and not beyond."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async

from runs.budgets.limits import Spender
from runs.models import Budget, Charge, ChargeState
from tests.runs.budgets.conftest import ME
from tests.runs.budgets.streams import TOKEN, Streams

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(("streams", "tokens", "dollars"), [(1, 100, "0.0005"), (40, 100, "0.02"), (60, 50, "0.0203")])
async def test_many_streams_on_one_budget_use_it_up_and_no_more(
    spender: Spender, streams: int, tokens: int, dollars: str
) -> None:
    amount = Decimal(dollars)
    await sync_to_async(Budget.objects.create)(scope="site", window="day", amount=amount)
    engine = Streams(ME, tokens)
    lease = engine.lease(spender)

    passed = await asyncio.gather(*(engine.call(lease) for _ in range(streams)))
    await engine.close()

    spent = sum(passed) * TOKEN
    assert spent == sum(await sync_to_async(lambda: list(Charge.objects.values_list("amount", flat=True)))())
    assert amount * 10**9 * 99 / 100 <= spent <= amount * 10**9
    assert not await sync_to_async(Charge.objects.filter(state=ChargeState.OPEN).exists)()
