"""How a sandbox is: looked at once a minute, told in words and small drawings, kept for a day."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.utils import timezone

from agents.models import Agent
from sandboxes import drivers, health, lifecycle, probing, records
from sandboxes.driver import SandboxSpec, Usage
from sandboxes.hermes import gateway
from sandboxes.local import measuring
from sandboxes.models import Desired, HealthSample, Sandbox, State
from tests.fakes import FakeDriver

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def sample(minute: float, **values: Any) -> HealthSample:
    known = {"start": 1, "cpu_s": 0.0, "memory_mb": 100.0, "processes": 3, "latency_ms": 2.0, **values}
    return HealthSample(at=NOON + timedelta(minutes=minute), **known)


# drawing


def test_the_processor_is_told_in_percent_of_one_between_two_looks() -> None:
    points = health.cpu([sample(0, cpu_s=10), sample(1, cpu_s=40), sample(2, cpu_s=160)])

    assert [point.value for point in points] == [50.0, 200.0]


@pytest.mark.parametrize("after", [{"start": 2, "cpu_s": 1.0}, {"cpu_s": 5.0}])
def test_a_new_start_or_fewer_seconds_are_never_less_than_nothing(after: dict[str, Any]) -> None:
    (point,) = health.cpu([sample(0, cpu_s=10), sample(1, **after)])

    assert point.value in (None, 0.0)


def test_a_line_has_a_gap_where_nothing_is_known() -> None:
    looks = [sample(0), sample(1), sample(30), sample(31), sample(32, latency_ms=None), sample(33)]
    memory, latency = health.series(looks)[1], health.series(looks)[3]

    assert health.series(looks[:5])[3].last == "", "the last look had no answer"
    assert len(memory.lines) == 2
    assert len(latency.lines) == 3
    assert latency.last == "2.0 ms"


def test_a_day_is_drawn_small_and_stays_in_its_box() -> None:
    looks = [sample(minute, memory_mb=100 + minute % 50) for minute in range(1440)]
    memory = health.series(looks)[1]
    pairs = [tuple(map(float, pair.split(","))) for line in memory.lines for pair in line.split()]

    assert len(pairs) <= health.MOST_POINTS + 1
    assert all(0 <= x <= health.WIDTH and 0 <= y <= health.HEIGHT for x, y in pairs)
    assert memory.highest == "149 MiB"


@pytest.mark.parametrize(
    "looks", [[], [sample(0, latency_ms=None)], [sample(0, memory_mb=0.0), sample(1, memory_mb=0.0)]]
)
def test_nothing_or_only_nought_is_drawn_without_a_fault(looks: list[HealthSample]) -> None:
    for each in health.series(looks):
        assert isinstance(each.lines, list)


# telling


def test_silence_is_told_before_it_is_mended() -> None:
    row = Sandbox(agent=Agent(name="atlas"), state=State.RUNNING, starts=1, started_at=NOON, silences=2)

    said = health.of(row, sample(1), NOON + timedelta(hours=1))

    assert not said.is_well
    assert "did not answer at the last 2 looks" in said.reason
    assert said.uptime_s == 3600


def test_figures_of_an_earlier_start_are_not_those_of_now() -> None:
    row = Sandbox(agent=Agent(name="atlas"), state=State.RUNNING, starts=2, started_at=NOON)

    assert health.of(row, sample(1, start=1), NOON).last is None
    assert health.of(row, sample(1, start=2), NOON).last is not None


# looking


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDriver]:
    class Measured(FakeDriver):
        async def usage(self, state: Any) -> Usage | None:
            return Usage(12.5, 140.0, 4)

    fake = Measured()
    monkeypatch.setattr(drivers, "_made", {})
    monkeypatch.setattr(drivers, "FACTORIES", {"fake": lambda: fake})
    yield fake
    for spec in fake.started:
        if found := async_to_sync(fake.find)(spec.root):
            async_to_sync(fake.stop)(found.state)


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    answers = [True]

    async def is_alive(attachment: Any, key: str, timeout_s: float = 5.0) -> bool:
        return answers[-1]

    monkeypatch.setattr(gateway, "is_alive", is_alive)
    return answers


@pytest.fixture
def box(atlas: Agent, driver: FakeDriver) -> Sandbox:
    row = Sandbox(agent=atlas, number=1, driver="fake", state=State.RUNNING, desired=Desired.RUNNING, starts=1)
    row.driver_state = dict(async_to_sync(driver.start)(SandboxSpec("box", lifecycle.root_of(row.pk))).state)
    row.save()
    return row


@pytest.mark.django_db(transaction=True)
def test_a_look_is_kept_and_what_is_older_than_a_day_is_not(box: Sandbox, answering: list[bool]) -> None:
    long_ago = timezone.now() - timedelta(hours=25)
    HealthSample.objects.create(sandbox=box, at=long_ago, start=1, cpu_s=1, memory_mb=1, processes=1)

    probing.probe()

    (seen,) = HealthSample.objects.all()
    box.refresh_from_db()
    assert (seen.cpu_s, seen.memory_mb, seen.processes, seen.start) == (12.5, 140.0, 4, 1)
    assert seen.latency_ms is not None
    assert box.probed_at is not None


@pytest.mark.django_db(transaction=True)
def test_silences_are_counted_and_forgotten_with_the_first_answer(box: Sandbox, answering: list[bool]) -> None:
    answering.append(False)
    probing.probe()
    probing.probe()
    box.refresh_from_db()
    assert box.silences == 2
    assert HealthSample.objects.filter(latency_ms=None).count() == 2

    answering.append(True)
    probing.probe()

    box.refresh_from_db()
    assert box.silences == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ["stopped", "claimed", "ended"])
def test_what_does_not_run_is_not_looked_at(what: str, box: Sandbox, driver: FakeDriver, answering: list[bool]) -> None:
    if what == "stopped":
        Sandbox.objects.update(state=State.STOPPED)
    elif what == "claimed":
        records.claim(box.pk)
    else:
        driver.kill(box.driver_state)

    probing.probe()

    assert not HealthSample.objects.exists()


# measuring


def test_everything_below_a_process_counts() -> None:
    source = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(5_000_000)); print(1, flush=True); input()'])"
    process = subprocess.Popen([sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        used = measuring.usage(process.pid)
    finally:
        process.communicate(b"\n")

    assert used is not None
    assert used.processes == 2
    assert used.memory_mb > 5
    assert used.cpu_s > 0
    assert measuring.usage(process.pid) is None


def test_a_disk_is_measured_without_following_links(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "large").write_bytes(b"x" * (4 << 20))
    work = tmp_path / "box" / "workspace"
    work.mkdir(parents=True)
    (work / "link").symlink_to(outside / "large")
    (work / "directory").symlink_to(outside)
    (work / "own").write_bytes(os.urandom(1 << 20))

    assert 0.9 < probing.disk_mb(tmp_path / "box") < 1.5
    assert probing.disk_mb(tmp_path / "nowhere") == 0.0
