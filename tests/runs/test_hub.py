"""The hub hands whole events to every viewer, waits for none, and keeps nothing it need not."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from runs import hub as hub_module
from runs.events import Event
from runs.hub import Hub, Live

AT = datetime(2026, 11, 21, tzinfo=UTC)


def event(seq: int, run_id: str = "run_1") -> Event:
    return Event(run_id, seq, "text.delta", {"text": str(seq)}, AT)


def seqs(batch: list[Live]) -> list[int]:
    return [live.event.seq for live in batch]


async def test_every_viewer_of_a_run_gets_its_events_and_no_others() -> None:
    hub = Hub()
    with hub.subscribe("run_1") as one, hub.subscribe("run_1") as two, hub.subscribe("run_2") as other:
        hub.publish(event(1))
        hub.publish(event(2))

        assert seqs(await one.wait(60)) == seqs(await two.wait(60)) == [1, 2]
        assert await other.wait(0) == []


async def test_viewers_share_what_was_drawn() -> None:
    hub = Hub()
    with hub.subscribe("run_1") as one, hub.subscribe("run_1") as two:
        hub.publish(event(1))
        (first,), (second,) = await one.wait(60), await two.wait(60)

    assert first is second
    assert first.as_json() is second.as_json()


async def test_a_waiting_viewer_is_woken() -> None:
    hub = Hub()
    with hub.subscribe("run_1") as viewer:
        waiting = asyncio.create_task(viewer.wait(1_000))
        await asyncio.sleep(0)
        hub.publish(event(1))

        async with asyncio.timeout(60):
            assert seqs(await waiting) == [1]


async def test_a_wait_without_events_ends_empty_and_can_be_repeated() -> None:
    hub = Hub()
    with hub.subscribe("run_1") as viewer:
        assert await viewer.wait(0.001) == []
        hub.publish(event(1))
        assert seqs(await viewer.wait(0.001)) == [1]


async def test_who_comes_between_publish_and_commit_gets_what_is_not_in_the_rows() -> None:
    hub = Hub()
    for seq in (1, 2, 3):
        hub.publish(event(seq))
    hub.stored("run_1", 2)

    with hub.subscribe("run_1") as viewer:
        hub.publish(event(4))
        assert seqs(await viewer.wait(60)) == [3, 4]


async def test_one_who_reads_too_slowly_is_told_and_the_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "QUEUE_LIMIT", 3)
    hub = Hub()
    with hub.subscribe("run_1") as slow, hub.subscribe("run_1") as quick:
        for seq in range(1, 6):
            hub.publish(event(seq))
            assert seqs(await quick.wait(60)) == [seq]

        assert (slow.overflowed, quick.overflowed) == (True, False)
        assert seqs(await slow.wait(60)) == [1, 2, 3]


async def test_an_overflow_ends_a_wait_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "QUEUE_LIMIT", 0)
    hub = Hub()
    with hub.subscribe("run_1") as viewer:
        hub.publish(event(1))
        async with asyncio.timeout(60):
            assert await viewer.wait(1_000) == []


async def test_nothing_is_left_when_all_is_stored_and_everybody_gone() -> None:
    hub = Hub()
    for number in range(20):
        run_id = f"run_{number}"
        with hub.subscribe(run_id), hub.subscribe(run_id):
            hub.publish(event(1, run_id))
            assert hub.viewers(run_id) == 2
        hub.stored(run_id, 1)
        hub.stored(run_id, 1)
        assert hub.viewers(run_id) == 0

    assert (len(hub._viewers), len(hub._unstored)) == (0, 0)


async def test_a_cancelled_viewer_is_gone() -> None:
    hub = Hub()

    async def watch() -> None:
        with hub.subscribe("run_1") as viewer:
            await viewer.wait(100)

    task = asyncio.create_task(watch())
    await asyncio.sleep(0)
    assert hub.viewers("run_1") == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert not hub._viewers
    hub.publish(event(1))
