"""A sandbox that ended is noticed by its keeper's word, whether or not the connection into it closes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from agents.errors import LogosError
from runs import execution
from runs.execution import Execution


class Silent:
    """A client whose connections neither say anything nor close."""

    def __init__(self) -> None:
        self.asked = 0

    async def events(self, run_id: str) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield

    async def status(self, run_id: str) -> Any:
        self.asked += 1
        await asyncio.Event().wait()


def following(resident: Any) -> Execution:
    """A run in its middle."""
    run = object.__new__(Execution)
    run.stop, run.patience, run.runtime_run_id = asyncio.Event(), None, "run_1"
    run.sink = SimpleNamespace(record=lambda events: None)  # type: ignore[assignment]
    run.merger = SimpleNamespace(stream_lost=list)  # type: ignore[assignment]
    return run


@pytest.mark.parametrize("when", ["before", "meanwhile"])
async def test_a_run_does_not_wait_for_a_connection_into_a_sandbox_that_ended(
    when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "GONE_S", 0.01)
    client = Silent()
    resident: Any = SimpleNamespace(gone=asyncio.Event(), client=client)
    if when == "before":
        resident.gone.set()
    else:
        asyncio.get_running_loop().call_later(0.05, resident.gone.set)

    with pytest.raises(LogosError) as refused:
        await asyncio.wait_for(following(resident)._follow(resident), 30)

    assert refused.value.reason == "sandbox_disconnected"
    assert client.asked == 0
