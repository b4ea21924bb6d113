"""How one sandbox is, for people and programs: phase, reason, versions, and a day of samples drawn small."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from django.utils import timezone

from sandboxes.models import HealthSample, Sandbox, State
from sandboxes.next_step import MOST_SILENCES
from sandboxes.telling import tell

WIDTH, HEIGHT = 240.0, 40.0
# Between two looks further apart than this nothing is known: the line has a gap.
GAP = timedelta(minutes=3)
MOST_POINTS = 240


@dataclass(frozen=True, slots=True)
class Point:
    at: datetime
    value: float | None


@dataclass(frozen=True, slots=True)
class Series:
    """One measure over time: its last value (empty when it is not known) and highest in words, and the lines to draw."""

    name: str
    unit: str
    points: tuple[Point, ...]
    gap: timedelta = GAP

    @property
    def known(self) -> list[float]:
        return [point.value for point in self.points if point.value is not None]

    @property
    def last(self) -> str:
        value = self.points[-1].value if self.points else None
        return "" if value is None else self._said(value)

    @property
    def highest(self) -> str:
        return self._said(max(self.known)) if self.known else ""

    def _said(self, value: float) -> str:
        return f"{value:,.0f} {self.unit}" if value >= 10 else f"{value:.1f} {self.unit}"

    @property
    def lines(self) -> list[str]:
        """The points of each unbroken line, for an SVG polyline in a box of WIDTH by HEIGHT."""
        if not self.known:
            return []
        begin, end = self.points[0].at, self.points[-1].at
        span = max((end - begin).total_seconds(), 1.0)
        top = max(*self.known, 1e-9) if len(self.known) > 1 else max(self.known[0], 1e-9)
        lines: list[list[str]] = [[]]
        before: Point | None = None
        for point in self.points:
            if point.value is None or (before is not None and point.at - before.at > self.gap):
                lines.append([])
            if point.value is not None:
                x = (point.at - begin).total_seconds() / span * WIDTH
                lines[-1].append(f"{x:.1f},{HEIGHT - point.value / top * (HEIGHT - 2) - 1:.1f}")
                before = point
        return [" ".join(line if len(line) > 1 else [*line, *line]) for line in lines if line]


def cpu(samples: Sequence[HealthSample]) -> list[Point]:
    """Percent of one processor between each look and the one before it, within one start."""
    points = []
    for before, after in pairwise(samples):
        seconds = (after.at - before.at).total_seconds()
        is_one_stretch = before.start == after.start and 0 < seconds <= GAP.total_seconds()
        used = max(0.0, after.cpu_s - before.cpu_s)
        points.append(Point(after.at, used / seconds * 100 if is_one_stretch else None))
    return points


def series(samples: Sequence[HealthSample]) -> list[Series]:
    """The four measures, oldest first."""

    def of(read: Callable[[HealthSample], float | None]) -> list[Point]:
        return [Point(sample.at, read(sample)) for sample in samples]

    disk = [Point(sample.at, sample.disk_mb) for sample in samples if sample.disk_mb is not None]
    measures = (
        ("Processor", "%", cpu(samples)),
        ("Memory", "MiB", of(lambda sample: sample.memory_mb)),
        ("Disk", "MiB", disk),
        ("Answers in", "ms", of(lambda sample: sample.latency_ms)),
    )
    return [_drawn(name, unit, points, 9 * GAP if name == "Disk" else GAP) for name, unit, points in measures]


def _drawn(name: str, unit: str, points: list[Point], gap: timedelta) -> Series:
    """At most MOST_POINTS of them, the last among them. One for which nothing is known is not left out."""
    step = -(-len(points) // MOST_POINTS) or 1
    chunks = [points[max(0, end - step) : end] for end in range(len(points), 0, -step)][::-1]
    few = tuple(next((point for point in chunk if point.value is None), chunk[-1]) for chunk in chunks)
    return Series(name, unit, few, gap * step)


@dataclass(frozen=True, slots=True)
class Health:
    """How it is right now."""

    phase: str
    reason: str
    is_well: bool
    uptime_s: float | None
    last: HealthSample | None


def of(row: Sandbox, last: HealthSample | None, now: datetime | None = None) -> Health:
    """The phase in the words of the pages, why, and since when."""
    now = now or timezone.now()
    said = tell(row, row.agent.is_archived, now)
    is_running = row.state == State.RUNNING
    reason = said.sentence
    if is_running and row.silences:
        reason = f"The agent runtime in it did not answer at the last {row.silences} looks; after {MOST_SILENCES} it is started anew."
    return Health(
        phase=said.state,
        reason=reason,
        is_well=row.state != State.FAILED and not row.silences,
        uptime_s=(now - row.started_at).total_seconds() if is_running and row.started_at else None,
        last=last if last is not None and is_running and last.start == row.starts else None,
    )


def samples_of(row: Sandbox) -> list[HealthSample]:
    """A day of them, oldest first."""
    since = timezone.now() - timedelta(hours=24)
    return list(HealthSample.objects.filter(sandbox=row, at__gte=since).order_by("at"))


def last_of(row: Sandbox) -> HealthSample | None:
    return HealthSample.objects.filter(sandbox=row).order_by("-at").first()


def as_json(row: Sandbox) -> dict[str, Any]:
    """The same for programs."""
    last = last_of(row)
    found = of(row, last)
    sample = found.last
    return {
        "sandbox_id": row.pk,
        "phase": found.phase,
        "reason": found.reason,
        "is_well": found.is_well,
        "desired": row.desired,
        "keep_running": row.keep_running,
        "uptime_s": found.uptime_s,
        "starts": row.starts,
        "crashes": row.crashes,
        "probed_at": row.probed_at,
        "used_at": row.used_at,
        "versions": row.versions,
        "layers": row.layers,
        "memory_mb": sample.memory_mb if sample else None,
        "processes": sample.processes if sample else None,
        "latency_ms": sample.latency_ms if sample else None,
        "cpu_s": sample.cpu_s if sample else None,
    }
