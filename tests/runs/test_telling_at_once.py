"""A viewer who only waits is told in the moment an event happens; whoever refuses gets it the usual way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from runs import hub as hub_module
from runs.events import Event
from runs.hub import Hub, Live
from runs.streaming import follow

AT = datetime(2026, 11, 21, tzinfo=UTC)


def event(seq: int, kind: str = "text.delta") -> Event:
    return Event("run_1", seq, kind, {"text": str(seq)}, AT)


async def no_rows(*_: Any) -> list[Event]:
    return []


class Following:
    """A viewer with its own task; notes what it was told at once and what came in batches."""

    def __init__(self, hub: Hub, takes: Callable[[Live], bool]) -> None:
        self.at_once: list[int] = []
        self.in_batches: list[int] = []
        self._hub, self._takes = hub, takes
        self.task = asyncio.create_task(self._follow())

    def _tell(self, live: Live) -> bool:
        if took := self._takes(live):
            self.at_once.append(live.event.seq)
        return took

    async def _follow(self) -> None:
        async for batch in follow("run_1", 0, self._hub, no_rows, self._tell):
            self.in_batches += [live.event.seq for live in batch]

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    monkeypatch.setattr(hub_module, "TOGETHER_S", 0)
    hub = Hub()
    hub.carried.add("run_1")
    return hub


async def test_who_waits_is_told_before_publishing_returns(hub: Hub) -> None:
    viewer = Following(hub, lambda live: True)
    await viewer.settle()

    hub.publish(event(1))

    assert viewer.at_once == [1]
    viewer.task.cancel()


async def test_what_is_refused_comes_in_a_batch_and_nothing_twice(hub: Hub) -> None:
    viewer = Following(hub, lambda live: live.event.seq % 2 == 0)
    await viewer.settle()

    for seq in range(1, 9):
        hub.publish(event(seq))
        await viewer.settle()

    assert (viewer.at_once, viewer.in_batches) == ([2, 4, 6, 8], [1, 3, 5, 7])
    viewer.task.cancel()


async def test_the_end_always_comes_in_a_batch_and_ends_the_stream(hub: Hub) -> None:
    viewer = Following(hub, lambda live: True)
    await viewer.settle()

    hub.publish(event(1))
    hub.publish(event(2, "run.completed"))

    await asyncio.wait_for(viewer.task, 60)
    assert (viewer.at_once, viewer.in_batches) == ([1], [2])


async def test_events_in_a_burst_go_out_together_and_in_order(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "TOGETHER_S", 60)
    viewer = Following(hub, lambda live: True)
    await viewer.settle()

    for seq in range(1, 6):
        hub.publish(event(seq))
    await viewer.settle()

    assert viewer.at_once + viewer.in_batches == [1, 2, 3, 4, 5]
    assert len(viewer.at_once) <= 1
    viewer.task.cancel()


async def test_the_trouble_of_one_viewer_reaches_neither_the_run_nor_the_others(hub: Hub) -> None:
    def broken(live: Live) -> bool:
        raise RuntimeError("cannot draw this")

    bad, good = Following(hub, broken), Following(hub, lambda live: True)
    await good.settle()

    hub.publish(event(1))
    await good.settle()

    assert good.at_once == [1]
    assert bad.in_batches == [1]
    for viewer in (bad, good):
        viewer.task.cancel()
