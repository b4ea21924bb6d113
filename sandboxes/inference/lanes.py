"""Lanes: which run a model call belongs to, known by the path it came in on.

A runtime is started with 64 base addresses (``…/lane/N/v1``); each run leases one. After a run has ended its
lane drains: calls that still arrive are booked to that run, flagged late. A lane is attribution, not a
security boundary: agent code may call any lane of its own sandbox, and only of its own.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from agents.errors import Conflict, LogosError
from sandboxes.inference.calls import CallSink, RouteTarget
from sandboxes.inference.patience import Patience
from sandboxes.inference.spending import Purse
from sandboxes.inference.tap import RunTap

LANES = 64
DRAIN_S = 60.0

# When every lane drains, one whose calls all carried the launcher's run stamp may be used again after this:
# a straggler of the old run is then recognised by its stamp and cannot be booked to the new one.
STAMPED_DRAIN_S = 5.0


@dataclass(eq=False, slots=True)
class Lease:
    """One run's hold on a lane. ``target`` may be replaced during the run: the next call goes there."""

    sandbox_id: str
    lane: int
    run_id: str
    target: RouteTarget
    sink: CallSink
    tap: RunTap
    runtime_run_id: str | None = None  # the runtime's own id of the run, once known
    purse: Purse | None = None  # asked before anything is spent; None: nobody counts
    refusal: LogosError | None = None  # set to refuse further calls of this run, e.g. when its budget is spent
    former_runtime_ids: frozenset[str] = frozenset()  # runs that had this lane before
    agent_id: str = ""
    person_id: int | None = None  # who asked for the run
    waiting: set[Patience] = field(default_factory=set)  # of the calls that go on: how each can be cut
    released_at: float | None = None
    open_calls: int = 0
    calls: int = 0
    stamped_calls: int = 0
    timeouts_in_a_row: int = 0

    @property
    def is_draining(self) -> bool:
        return self.released_at is not None

    @property
    def is_fully_stamped(self) -> bool:
        """Whether every call so far named its run, and we know the name: stragglers can be told apart."""
        return self.runtime_run_id is not None and self.calls > 0 and self.stamped_calls == self.calls

    def accepts(self, stamp: str) -> bool:
        """Whether a call that names its run ``stamp`` may be booked here; a call without a stamp may."""
        if not stamp:
            return True
        if self.runtime_run_id is not None:
            return stamp == self.runtime_run_id
        return stamp not in self.former_runtime_ids


@dataclass(slots=True)
class _Sandbox:
    free: deque[int]  # least recently used first
    leases: dict[int, Lease] = field(default_factory=dict)  # leased and draining
    former: dict[int, frozenset[str]] = field(default_factory=dict)


class Lanes:
    """The lane table of all sandboxes of this process. Used on one event loop only."""

    def __init__(self, *, per_sandbox: int = LANES, now: Callable[[], float] = time.monotonic) -> None:
        self._per_sandbox = per_sandbox
        self._now = now
        self._sandboxes: dict[str, _Sandbox] = {}
        # Of calls that Logos makes itself for a run: no lane leads to them, a halt cuts them like any other.
        self.own: set[Lease] = set()

    def lease(
        self,
        sandbox_id: str,
        run_id: str,
        target: RouteTarget,
        sink: CallSink,
        lane: int | None = None,
        *,
        agent_id: str = "",
        person_id: int | None = None,
    ) -> Lease:
        """A lane for this run: the least recently used, or the given ``lane``, which a run gets back after a
        restart of Logos. Raises LogosError ("busy") when none is free, Conflict ("busy") when the given one
        belongs to another run."""
        box = self._sandboxes.setdefault(sandbox_id, _Sandbox(deque(range(1, self._per_sandbox + 1))))
        self._collect(box)
        number = self._take_free(box) if lane is None else self._take(box, lane, run_id)
        lease = Lease(
            sandbox_id,
            number,
            run_id,
            target,
            sink,
            RunTap(sink),
            former_runtime_ids=box.former.get(number, frozenset()),
            agent_id=agent_id,
            person_id=person_id,
        )
        box.leases[number] = lease
        return lease

    def release(self, lease: Lease) -> None:
        """The run has ended. Its lane drains for DRAIN_S, then it is free. Releasing twice is harmless."""
        if lease.released_at is None:
            lease.released_at = self._now()
            lease.tap.silent = True

    def get(self, sandbox_id: str, lane: int) -> Lease | None:
        """Who has this lane now, draining included; None when nobody has."""
        box = self._sandboxes.get(sandbox_id)
        lease = box.leases.get(lane) if box is not None else None
        if lease is None or (lease.released_at is not None and self._has_drained(lease)):
            return None
        return lease

    def has_runs(self, sandbox_id: str) -> bool:
        """Does a run of this process go on in the sandbox?"""
        return bool(self.runs_of(sandbox_id))

    def runs_of(self, sandbox_id: str) -> list[str]:
        """The runs of this process that go on in the sandbox."""
        box = self._sandboxes.get(sandbox_id)
        return [lease.run_id for lease in box.leases.values() if not lease.is_draining] if box else []

    def run_named(self, sandbox_id: str, stamp: str) -> str:
        """The run of this process that goes on in the sandbox under the runtime's own id ``stamp``, or the only one it
        can be; "" when that cannot be told."""
        box = self._sandboxes.get(sandbox_id)
        going = [lease for lease in box.leases.values() if not lease.is_draining] if box else []
        named = [lease for lease in going if stamp and lease.runtime_run_id == stamp]
        possible = named or [lease for lease in going if lease.accepts(stamp)]
        return possible[0].run_id if len(possible) == 1 else ""

    def leases(self) -> list[Lease]:
        """Every lease there is, those that drain included."""
        return [*self.own, *(lease for box in self._sandboxes.values() for lease in box.leases.values())]

    def persons_of(self, sandbox_id: str) -> list[int | None]:
        """Who asked for the runs that go on in the sandbox, or that have just ended there."""
        box = self._sandboxes.get(sandbox_id)
        return [lease.person_id for lease in box.leases.values()] if box else []

    def forget(self, sandbox_id: str) -> None:
        """The sandbox is gone, and with it whoever could call."""
        self._sandboxes.pop(sandbox_id, None)

    def _has_drained(self, lease: Lease) -> bool:
        return lease.released_at is not None and not lease.open_calls and self._now() - lease.released_at >= DRAIN_S

    def _collect(self, box: _Sandbox) -> None:
        """Give drained lanes back, in the order in which they were released."""
        drained = [lease for lease in box.leases.values() if self._has_drained(lease)]
        for lease in sorted(drained, key=lambda each: each.released_at or 0.0):
            self._free(box, lease)

    def _free(self, box: _Sandbox, lease: Lease) -> None:
        del box.leases[lease.lane]
        if lease.runtime_run_id is not None:
            box.former[lease.lane] = frozenset([lease.runtime_run_id])
        box.free.append(lease.lane)

    def _take_free(self, box: _Sandbox) -> int:
        if not box.free:
            self._free_one_early(box)
        if not box.free:
            raise LogosError(
                "This agent is busy: too many runs at once.",
                reason="busy",
                action="Wait until one of its runs has ended, then send the message again.",
                permanent=False,
            )
        return box.free.popleft()

    def _free_one_early(self, box: _Sandbox) -> None:
        before = self._now() - STAMPED_DRAIN_S
        ready = [
            each
            for each in box.leases.values()
            if each.released_at is not None and each.released_at <= before
            if not each.open_calls and each.is_fully_stamped
        ]
        if ready:
            self._free(box, min(ready, key=lambda each: each.released_at or 0.0))

    def _take(self, box: _Sandbox, lane: int, run_id: str) -> int:
        if not 1 <= lane <= self._per_sandbox:
            raise LogosError(f"There is no lane {lane}.", reason="invalid", detail=f"lanes are 1..{self._per_sandbox}")
        holder = box.leases.get(lane)
        if holder is not None and holder.run_id != run_id:
            raise Conflict(f"Lane {lane} belongs to another run.", reason="busy")
        if lane in box.free:
            box.free.remove(lane)
        return lane
