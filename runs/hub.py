"""The live side of a run inside one process: whole events handed to every open viewer, never waiting for one.

A viewer subscribes first, replays rows second, drops what it has by ``seq``, then follows. Rows stay the
truth: a viewer that reads too slowly is cut off and resumes from them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Hashable

from runs.events import Event

logger = logging.getLogger(__name__)

# About a minute of a fast stream; beyond that the rows are the better source.
QUEUE_LIMIT = 2000


# Events that come closer than this go out together: one write for many.
TOGETHER_S = 0.002


class Live:
    """An event on its way to viewers, with the frames already drawn for it, so each is drawn once."""

    __slots__ = ("drawing", "event", "frames", "json_frame")

    def __init__(self, event: Event) -> None:
        self.event = event
        self.drawing = asyncio.Lock()  # held by the viewer whose drawing waits for the database
        self.frames: dict[Hashable, bytes] = {}  # by view and by what its readers may see
        self.json_frame: bytes = b""

    def as_json(self) -> bytes:
        """The event's frame for API clients."""
        if not self.json_frame:
            self.json_frame = self.event.frame()
        return self.json_frame


class Subscription:
    """One viewer's bounded queue. Use as a context manager; ``overflowed`` tells that it must resume from rows."""

    __slots__ = (
        "_deadline",
        "_hub",
        "_queue",
        "_run_id",
        "_timeout_s",
        "_timer",
        "_told_at",
        "_waiter",
        "at_once",
        "overflowed",
    )

    def __init__(self, hub: Hub, run_id: str) -> None:
        self._hub, self._run_id = hub, run_id
        self._queue: deque[Live] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = self._timeout_s = self._told_at = 0.0
        self.overflowed = False
        # Asked first when the viewer waits for nothing but this event; True means that it is told. Must not wait.
        self.at_once: Callable[[Live], bool] | None = None

    def __enter__(self) -> Subscription:
        self._queue.extend(self._hub._unstored.get(self._run_id, ()))
        self._hub._viewers[self._run_id].add(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        viewers = self._hub._viewers.get(self._run_id)
        if viewers is not None:
            viewers.discard(self)
            if not viewers:
                del self._hub._viewers[self._run_id]

    def put(self, live: Live) -> None:
        """Called by the hub."""
        is_waiting = self._waiter is not None and not self._waiter.done()
        if self.at_once is not None and is_waiting and not self._queue and self._tells(live):
            return
        if len(self._queue) >= QUEUE_LIMIT:
            self.overflowed = True
        else:
            self._queue.append(live)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _tells(self, live: Live) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._told_at < TOGETHER_S:
            return False
        try:
            told = self.at_once is not None and self.at_once(live)
        except Exception:
            # One viewer's trouble is not the run's: its own task meets the event next, and the trouble with it.
            logger.exception("A viewer could not be told at once")
            return False
        if told:
            self._told_at, self._deadline = now, now + self._timeout_s
        return told

    async def wait(self, timeout_s: float) -> list[Live]:
        """Everything that has come, in order; empty after ``timeout_s`` without anything."""
        if not self._queue and not self.overflowed:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            self._deadline, self._timeout_s = loop.time() + timeout_s, timeout_s
            # One timer for many waits: with hundreds of viewers, one per wait is what most of an event would cost.
            if self._timer is None or self._timer.when() > self._deadline:
                self._set_timer(loop)
            try:
                await self._waiter
            finally:
                self._waiter = None
        got = list(self._queue)
        self._queue.clear()
        return got

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(self._deadline, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if loop.time() >= self._deadline:
            self._waiter.set_result(None)
        else:
            self._set_timer(loop)


class Hub:
    """Viewers by run. Used on one event loop."""

    def __init__(self) -> None:
        self._viewers: defaultdict[str, set[Subscription]] = defaultdict(set)
        # Runs carried out by this process: their events all come by here.
        self.carried: set[str] = set()
        # Shown and not yet committed: a viewer who comes in between finds them neither in the rows nor live.
        self._unstored: defaultdict[str, deque[Live]] = defaultdict(deque)

    def subscribe(self, run_id: str) -> Subscription:
        """A subscription, active inside its ``with`` block."""
        return Subscription(self, run_id)

    def publish(self, event: Event) -> None:
        """Hand an event to everyone who watches its run; returns at once."""
        live = Live(event)
        self._unstored[event.run_id].append(live)
        for viewer in self._viewers.get(event.run_id, ()):
            viewer.put(live)

    def stored(self, run_id: str, seq: int) -> None:
        """Events of the run up to ``seq`` are committed: who comes now finds them in the rows."""
        waiting = self._unstored.get(run_id)
        while waiting and waiting[0].event.seq <= seq:
            waiting.popleft()
        if not waiting:
            self._unstored.pop(run_id, None)

    def unstored(self, run_id: str) -> list[Event]:
        """What was shown and is not committed yet, in order. May be called from any thread."""
        # Copying a deque is one step of the interpreter: the event loop cannot change it meanwhile.
        return [live.event for live in list(self._unstored.get(run_id, ()))]

    def viewers(self, run_id: str) -> int:
        """How many watch this run here."""
        return len(self._viewers.get(run_id, ()))


# One per process. Where no engine runs, nothing is published and streams follow the rows.
hub = Hub()
