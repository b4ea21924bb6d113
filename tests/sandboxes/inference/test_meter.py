"""The meter writes in batches, tries again, and loses nothing."""

from __future__ import annotations

import asyncio

import pytest

from sandboxes.inference.calls import CallRecord
from sandboxes.inference.meter import Meter


def record(number: int) -> CallRecord:
    return CallRecord(f"infer_{number}", "run_1", "box_1", "route_1", "m", 200)


class Store:
    """A database that can be told to fail."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.attempts = 0
        self.failures = 0
        self.poison = ""
        self.changed = asyncio.Event()

    async def write(self, records: list[CallRecord]) -> None:
        self.attempts += 1
        self.changed.set()
        if self.failures:
            self.failures -= 1
            raise OSError("the disk is full")
        if self.poison in [each.id for each in records]:
            raise ValueError("no such row")
        self.batches.append([each.id for each in records])

    @property
    def ids(self) -> list[str]:
        return [each for batch in self.batches for each in batch]


async def until(meter: Meter, waiting: int) -> None:
    async with asyncio.timeout(60):
        while meter.waiting > waiting:
            await asyncio.sleep(0.005)


async def test_records_that_come_together_are_written_together() -> None:
    store = Store()
    meter = Meter(store.write, interval_s=0.02)
    for number in range(10):
        meter.add(record(number))
    assert store.attempts == 0

    await until(meter, 0)
    assert len(store.batches) == 1
    assert len(store.ids) == 10


async def test_a_full_batch_does_not_wait() -> None:
    store = Store()
    meter = Meter(store.write, interval_s=60, batch=5)
    for number in range(12):
        meter.add(record(number))

    await until(meter, 2)
    assert [len(batch) for batch in store.batches] == [5, 5]
    assert await meter.close() == 0
    assert len(store.ids) == 12


async def test_a_failing_write_is_tried_again_until_it_works() -> None:
    store = Store()
    store.failures = 2
    meter = Meter(store.write, interval_s=0.01, longest_pause_s=0.05)
    for number in range(3):
        meter.add(record(number))

    await until(meter, 0)
    assert sorted(store.ids) == ["infer_0", "infer_1", "infer_2"]


async def test_while_the_database_fails_new_records_do_not_make_it_hammer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandboxes.inference.meter._FIRST_PAUSE_S", 60.0)
    store = Store()
    store.failures = 10**6
    meter = Meter(store.write, interval_s=0.001, batch=2, longest_pause_s=60)
    meter.add(record(0))
    await store.changed.wait()
    for number in range(1, 200):
        meter.add(record(number))
        await asyncio.sleep(0)

    assert store.attempts == 1
    store.failures = 0
    assert await meter.close() == 0
    assert len(set(store.ids)) == 200


async def test_one_record_that_cannot_be_written_does_not_hold_up_the_others() -> None:
    store = Store()
    store.poison = "infer_0"
    meter = Meter(store.write, interval_s=0.001, longest_pause_s=0.01)
    for number in range(5):
        meter.add(record(number))

    await until(meter, 1)
    assert sorted(store.ids) == ["infer_1", "infer_2", "infer_3", "infer_4"]
    assert await meter.close(timeout_s=0.2) == 1


async def test_closing_does_not_wait_for_ever_and_says_what_is_left() -> None:
    async def never(records: list[CallRecord]) -> None:
        await asyncio.get_running_loop().create_future()

    meter = Meter(never, interval_s=0)
    meter.add(record(1))

    assert await meter.close(timeout_s=0.05) == 1


async def test_closing_an_unused_meter_is_fine() -> None:
    assert await Meter(Store().write).close() == 0
