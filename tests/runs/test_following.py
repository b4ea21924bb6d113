"""Whoever watches a run gets every event once and in order, whenever they come and however the timing falls."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from runs import events, streaming
from runs import hub as hub_module
from runs.events import Event
from runs.hub import Hub
from runs.streaming import follow
from tests.runs.stories import AT, random_events


class House:
    """A run as an engine carries it out: shown by the hub first, in the rows a while later."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.hub = Hub()
        self.rows: list[Event] = []

    async def pause(self) -> None:
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)

    async def db(self, function: Callable[..., Any], run_id: str, after: int) -> Any:
        await self.pause()
        if function is events.replay:
            found: Any = [event for event in self.rows if event.seq > after]
        else:
            assert function is events.has_ended
            found = any(event.kind in events.ENDS and event.seq <= after for event in self.rows)
        await self.pause()
        return found

    async def carry_out(self, story: list[Event]) -> None:
        """As Recorder and Writer do; the last event is stored before it is shown, as settling does."""
        waiting: list[Event] = []
        for event in story[:-1]:
            self.hub.publish(event)
            waiting.append(event)
            if self.chance.random() < 0.4:
                await self._commit(waiting)
            await self.pause()
        await self._commit(waiting)
        self.rows.append(story[-1])
        await self.pause()
        self.hub.publish(story[-1])
        self.hub.stored("run_1", story[-1].seq)

    async def _commit(self, waiting: list[Event]) -> None:
        await self.pause()
        self.rows.extend(waiting)
        await self.pause()
        if waiting:
            self.hub.stored("run_1", waiting[-1].seq)
        waiting.clear()

    async def watch(self, after: int) -> list[int]:
        """Come at some time, resume when cut off, leave after the end."""
        for _ in range(self.chance.randrange(60)):
            await asyncio.sleep(0)
        got: list[int] = []
        while True:
            async with aclosing(follow("run_1", got[-1] if got else after, self.hub, self.db)) as batches:
                async for batch in batches:
                    got += [live.event.seq for live in batch]
                    if batch and batch[-1].event.kind in events.ENDS:
                        return got
                    await self.pause()


@pytest.mark.parametrize("limit", [2000, 3])
@pytest.mark.parametrize("carried", [True, False])
async def test_every_viewer_gets_every_event_once_and_in_order(
    limit: int, carried: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "QUEUE_LIMIT", limit)
    monkeypatch.setattr(streaming, "LOOK_ELSEWHERE_S", 0.002)
    for seed in range(40):
        chance = random.Random(seed)
        house = House(chance)
        if carried:
            house.hub.carried.add("run_1")
        story = random_events(chance, chance.randrange(1, 40))
        afters = [0, 0, 0, chance.choice(story[:-1]).seq, story[-2].seq]

        async with asyncio.timeout(120):
            _, *seen = await asyncio.gather(house.carry_out(story), *(house.watch(after) for after in afters))

        for after, got in zip(afters, seen, strict=True):
            assert got == [event.seq for event in story if event.seq > after], (seed, after)
        assert (len(house.hub._viewers), len(house.hub._unstored)) == (0, 0)


async def gathered(house: House, after: int) -> list[int]:
    async with asyncio.timeout(60):
        return [live.event.seq async for batch in follow("run_1", after, house.hub, house.db) for live in batch]


async def test_a_finished_run_is_replayed_and_over() -> None:
    house = House(random.Random(1))
    house.rows = random_events(house.chance, 10)

    assert await gathered(house, 0) == [event.seq for event in house.rows]


@pytest.mark.parametrize("after", ["the last one", "beyond anything"])
async def test_who_has_had_the_end_is_not_kept_waiting(after: str) -> None:
    house = House(random.Random(1))
    house.rows = random_events(house.chance, 10)

    assert await gathered(house, house.rows[-1].seq if after == "the last one" else 2**31) == []


async def test_who_claims_to_have_more_than_there_is_leaves_with_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "LOOK_ELSEWHERE_S", 0.002)
    house = House(random.Random(2))
    story = random_events(house.chance, 10)

    got, _ = await asyncio.gather(gathered(house, 2**31), house.carry_out(story))

    assert got == []


async def test_a_run_carried_out_elsewhere_is_followed_by_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "LOOK_ELSEWHERE_S", 0.002)
    house, signs = House(random.Random(3)), 0
    story = random_events(house.chance, 6)
    got: list[int] = []

    async with asyncio.timeout(60), aclosing(follow("run_1", 0, house.hub, house.db)) as batches:
        async for batch in batches:
            signs += not batch
            got += [live.event.seq for live in batch]
            if len(house.rows) < len(story):
                house.rows.append(story[len(house.rows)])

    assert got == [event.seq for event in story]
    assert signs >= 1


async def test_nothing_yet_is_a_sign_of_life_and_no_end() -> None:
    house = House(random.Random(4))

    async with aclosing(follow("run_1", 0, house.hub, house.db)) as batches:
        assert await anext(batches) == []
        house.hub.publish(Event("run_1", 1, "note", {"text": "x"}, AT))
        assert [live.event.seq for live in await anext(batches)] == [1]

    assert house.hub.viewers("run_1") == 0
