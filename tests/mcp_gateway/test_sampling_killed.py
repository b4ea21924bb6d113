"""``kill -9`` while a model that was lent to a server is asked: charged once, nothing left open, and the rows say so."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections

from agents.models import ModelRoute, Provider
from mcp_gateway.gateway import Gateway
from mcp_gateway.models import McpCall, McpSampling, McpServer
from mcp_gateway.sampling import rows as sampled
from runs.budgets import ledger
from runs.engine import Engine
from runs.models import Basis, Budget, Charge, ChargeState
from sandboxes.claimants import process_name
from tests.mcp_gateway import test_gateway
from tests.mcp_gateway.test_sampling_paid import House, asking

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_S = 120.0


def ask_without_end(house: House) -> None:
    """What the process does that is killed."""

    test_gateway.PATIENCE_S = 3_600.0

    async def main() -> None:
        engine, running = Engine(), Gateway()
        running.sampler.lends = engine.lender
        await running.start()
        while True:
            await asking(house)
            await asyncio.sleep(0.1)

    asyncio.run(main())


def until(look: Callable[[], Any]) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not look():
        assert time.monotonic() < ends
        time.sleep(0.05)


async def start_anew() -> None:
    running = Gateway()
    await running.start()
    await running.stop()


def test_a_question_in_the_middle_of_a_kill_is_paid_once_and_nothing_stays_open() -> None:
    house = House()
    silent = socket.create_server(("127.0.0.1", 0))
    port = silent.getsockname()[1]
    maker = Provider.objects.create(name="Silent", kind="openai-compatible", base_url=f"http://127.0.0.1:{port}/v1")
    McpServer.objects.filter(pk=house.server.pk).update(timeout_s=3_600, sampling_timeout_s=600)
    ModelRoute.objects.filter(pk=house.route.pk).update(provider=maker)
    Budget.objects.create(scope="site", window="day", amount=Decimal(100))
    connections.close_all()
    pid = os.fork()
    if not pid:
        try:
            ask_without_end(house)
        finally:
            os._exit(1)
    try:
        until(
            lambda: (
                McpSampling.objects.filter(outcome="started").exists()
                and Charge.objects.filter(state=ChargeState.OPEN).exists()
            )
        )
        until(lambda: McpCall.objects.filter(outcome="started").exists())
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    asked, reserved = McpSampling.objects.count(), Charge.objects.count()

    asyncio.run(start_anew())
    ledger.settle_left_by_others(process_name())

    row, charge = McpSampling.objects.get(), Charge.objects.get()
    call = McpCall.objects.get(outcome="unknown")
    assert (asked, reserved) == (1, 1)
    assert (row.outcome, row.reason, row.agent_id) == ("unknown", sampled.INTERRUPTED, house.agent.pk)
    assert (call.pk, call.tool) == (row.call_id, "ask_model")
    assert (charge.state, charge.basis) == (ChargeState.SETTLED, Basis.HELD)
    before = charge.amount
    assert ledger.settle_left_by_others(process_name()) == 0
    asyncio.run(start_anew())
    assert (Charge.objects.get().amount, McpSampling.objects.get().outcome) == (before, "unknown")
    silent.close()
