"""Events reach the rows in batches and in order, through trouble; one bad event does not hold up the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, OperationalError

from runs.events import Event
from runs.hub import Hub
from runs.recorder import BATCH, Writer

AT = datetime(2026, 11, 21, tzinfo=UTC)


def event(seq: int, run_id: str = "run_1", kind: str = "text.delta") -> Event:
    return Event(run_id, seq, kind, {"text": str(seq)}, AT)


class Rows:
    """A store in memory. ``trouble`` is asked before each batch and may raise."""

    def __init__(self, trouble: Callable[[list[Event]], None] = lambda _: None) -> None:
        self.batches: list[list[Event]] = []
        self.heads_given: list[dict[str, str]] = []
        self.trouble = trouble
        self.tries = 0
        self.open = asyncio.Event()
        self.open.set()

    async def store(self, batch: list[Event], heads: dict[str, str]) -> dict[str, str]:
        self.tries += 1
        await self.open.wait()
        self.trouble(batch)
        self.batches.append(batch)
        self.heads_given.append(dict(heads))
        return {event.run_id: f"head {event.seq}" for event in batch}

    @property
    def seqs(self) -> list[int]:
        return [event.seq for batch in self.batches for event in batch]


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting before another try takes no time."""
    real = asyncio.sleep
    monkeypatch.setattr("runs.recorder.asyncio.sleep", lambda _: real(0))


async def test_text_waits_for_company_and_is_stored_as_one_batch() -> None:
    rows = Rows()
    writer = Writer(rows.store, Hub())
    for seq in range(1, 51):
        writer.add(event(seq))
    assert rows.tries == 0

    await writer.flush("run_1")

    assert [len(batch) for batch in rows.batches] == [50]
    assert rows.seqs == list(range(1, 51))


async def test_text_alone_is_stored_without_being_asked() -> None:
    rows = Rows()
    stored = asyncio.Event()
    rows.trouble = lambda _: stored.set()
    Writer(rows.store, Hub()).add(event(1))

    async with asyncio.timeout(60):
        await stored.wait()


async def test_a_step_or_a_full_batch_is_stored_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runs.recorder.FLUSH_S", 3600)
    for events in ([event(1, kind="tool.started")], [event(seq) for seq in range(BATCH)]):
        rows, stored = Rows(), asyncio.Event()
        rows.trouble = lambda _, stored=stored: stored.set()
        writer = Writer(rows.store, Hub())
        for one in events:
            writer.add(one)

        async with asyncio.timeout(60):
            await stored.wait()


async def test_what_comes_during_a_write_goes_with_the_next_batch() -> None:
    rows = Rows()
    writer = Writer(rows.store, Hub())
    rows.open.clear()
    writer.add(event(1, kind="note"))
    while not rows.tries:
        await asyncio.sleep(0)
    for seq in range(2, 1500):
        writer.add(event(seq, kind="note"))

    rows.open.set()
    await writer.flush("run_1")

    assert [len(batch) for batch in rows.batches] == [1, BATCH * 5, 498]
    assert rows.seqs == list(range(1, 1500))


async def test_flush_waits_for_the_commit_of_its_own_run_only() -> None:
    rows = Rows()
    writer = Writer(rows.store, Hub())
    rows.open.clear()
    writer.add(event(1))

    await writer.flush("run_other")
    waiting = asyncio.create_task(writer.flush("run_1"))
    while not rows.tries:
        await asyncio.sleep(0)
    assert not waiting.done()
    rows.open.set()

    async with asyncio.timeout(60):
        await waiting
    assert rows.seqs == [1]


async def test_each_batch_starts_from_the_digests_of_the_last_one() -> None:
    rows = Rows()
    writer = Writer(rows.store, Hub())
    for seq in (1, 2):
        writer.add(event(seq))
        await writer.flush("run_1")

    assert rows.heads_given == [{}, {"run_1": "head 1"}]
    assert writer.head("run_1") == "head 2"
    writer.forget("run_1")
    assert writer.head("run_1") is None


@pytest.mark.usefixtures("fast")
async def test_a_store_that_fails_twice_and_then_works_loses_nothing() -> None:
    failures = [OperationalError("database is locked"), OSError("disk full")]

    def trouble(_: list[Event]) -> None:
        if failures:
            raise failures.pop(0)

    rows = Rows(trouble)
    writer = Writer(rows.store, Hub())
    for seq in range(1, 6):
        writer.add(event(seq))
    flushed = asyncio.create_task(writer.flush("run_1"))
    while len(failures) > 1:
        await asyncio.sleep(0)
    for seq in range(6, 10):
        writer.add(event(seq))

    await flushed

    assert rows.seqs == list(range(1, 10))
    assert rows.tries >= 3


@pytest.mark.usefixtures("fast")
async def test_after_trouble_digests_are_read_anew() -> None:
    rows = Rows()
    writer = Writer(rows.store, Hub())
    writer.add(event(1))
    await writer.flush("run_1")
    failures = [OperationalError("the connection broke after the commit")]
    rows.trouble = lambda _: (_ for _ in ()).throw(failures.pop()) if failures else None
    writer.add(event(2))

    await writer.flush("run_1")

    assert rows.heads_given[-1] == {}


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("bad", [{3}, {1, 2}, {9}, set(range(2, 9)), set(range(1, 10))])
@pytest.mark.parametrize("error", [IntegrityError("FOREIGN KEY constraint failed"), ValueError("no JSON")])
async def test_an_event_the_database_refuses_is_left_out_and_all_others_are_kept(
    bad: set[int], error: Exception
) -> None:
    def trouble(batch: list[Event]) -> None:
        if bad & {event.seq for event in batch}:
            raise error

    rows, hub = Rows(trouble), Hub()
    writer = Writer(rows.store, hub)
    for seq in range(1, 10):
        hub.publish(event(seq))
        writer.add(event(seq))

    await writer.flush("run_1")

    assert rows.seqs == [seq for seq in range(1, 10) if seq not in bad]
    assert not hub._unstored


@pytest.mark.usefixtures("fast")
async def test_a_refusal_and_a_passing_trouble_together_lose_only_what_was_refused() -> None:
    failures = [3]

    def trouble(batch: list[Event]) -> None:
        if 5 in {event.seq for event in batch}:
            raise IntegrityError
        if len(batch) < 9 and failures[0]:
            failures[0] -= 1
            raise OperationalError

    rows = Rows(trouble)
    writer = Writer(rows.store, Hub())
    for seq in range(1, 10):
        writer.add(event(seq))

    await writer.flush("run_1")

    assert rows.seqs == [1, 2, 3, 4, 6, 7, 8, 9]


async def test_closing_stores_what_waits() -> None:
    rows = Rows()
    writer = Writer(rows.store, Hub())
    writer.add(event(1))

    await writer.close()

    assert rows.seqs == [1]


async def test_closing_without_work_returns_at_once() -> None:
    async with asyncio.timeout(60):
        await Writer(Rows().store, Hub()).close()
