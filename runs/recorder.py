"""Number, coalesce, publish and store the events of running runs.

A ``Recorder`` belongs to one run; the ``Writer`` is shared by all runs of an engine and stores their
events in batches. Text grows in steps: the first piece goes out at once, what follows within
``COALESCE_S`` joins one event.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from django.db import DataError, IntegrityError

from agents import secrets
from runs import events
from runs.events import Event
from runs.hub import Hub

logger = logging.getLogger(__name__)

COALESCE_S = 0.03
COALESCE_CHARS = 256
PIECE_CHARS = 32_000
FLUSH_S = 0.05
BATCH = 200

# Text may wait a moment for more of it; every other event is a step that a crash should not lose. Viewers
# get it first: were it stored in the same moment, they would wait for the thread that stores.
GROWING = ("text.delta", "reasoning.delta")
STEP_S = 0.005

# Events are shown before they are stored, at most one batch and what arrives during its write. After a
# crash numbering goes on beyond anything a viewer may have seen, so that no number is used twice.
RESUME_GAP = 10_000

# The database has understood and says no; trying again would say the same.
REFUSALS = (IntegrityError, DataError, ValueError, TypeError)

Store = Callable[[list[Event], dict[str, str]], Awaitable[dict[str, str]]]


class Writer:
    """Stores events in batches, one batch at a time, in order. Nothing leaves the queue before its commit."""

    def __init__(self, store: Store, hub: Hub) -> None:
        self._store = store
        self._hub = hub
        self._queue: deque[Event] = deque()
        self._heads: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None
        self._full = asyncio.Event()
        self._step: asyncio.TimerHandle | None = None
        self._progress = asyncio.Condition()

    def add(self, event: Event) -> None:
        """Take an event; returns at once."""
        self._queue.append(event)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="event writer")
        if len(self._queue) >= BATCH:
            self._full.set()
        elif event.kind not in GROWING and self._step is None:
            self._step = asyncio.get_running_loop().call_later(STEP_S, self._step_is_due)

    def _step_is_due(self) -> None:
        self._step = None
        self._full.set()

    async def flush(self, run_id: str) -> None:
        """Return when every event of the run taken so far is committed (or was refused for good)."""
        self._full.set()
        async with self._progress:
            await self._progress.wait_for(lambda: all(event.run_id != run_id for event in self._queue))

    def head(self, run_id: str) -> str | None:
        """The digest of the last committed event of a run, if this writer wrote it."""
        return self._heads.get(run_id)

    def forget(self, run_id: str) -> None:
        """The run has ended."""
        self._heads.pop(run_id, None)

    async def close(self) -> None:
        """Store what waits; gives up after 5 s."""
        self._full.set()
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task], timeout=5)
            self._task.cancel()
        if self._queue:
            logger.error("%d events could not be stored", len(self._queue))

    async def _run(self) -> None:
        pause_s = 0.0
        while self._queue:
            if pause_s:
                await asyncio.sleep(pause_s)
            elif len(self._queue) < BATCH and not self._full.is_set():
                await self._wait_full()
            self._full.clear()
            batch = list(islice(self._queue, BATCH * 5))
            settled = await self._settle(batch)
            pause_s = 0.0 if settled == len(batch) else min(pause_s * 2 or 0.1, 5.0)
            for event in batch[:settled]:
                self._queue.popleft()
                self._hub.stored(event.run_id, event.seq)
            async with self._progress:
                self._progress.notify_all()

    async def _settle(self, batch: list[Event]) -> int:
        """Store a batch; returns how many events from its front need no more care: the others are tried again.

        What a database will never take (its run was deleted, its number is taken) must not hold up all other
        runs: such a batch is halved until it stands alone, and then it is left out.
        """
        try:
            self._heads.update(await self._store(batch, self._heads))
            return len(batch)
        except Exception as error:
            # Whether the commit went through before the connection broke is not known: heads are read anew.
            for event in batch:
                self._heads.pop(event.run_id, None)
            if not isinstance(error, REFUSALS):
                logger.exception("%d events were not stored; trying again", len(batch))
                return 0
            if len(batch) == 1:
                logger.exception("Event %d of %s cannot be stored and is left out", batch[0].seq, batch[0].run_id)
                return 1
        half = len(batch) // 2
        settled = await self._settle(batch[:half])
        return settled + await self._settle(batch[half:]) if settled == half else settled

    async def _wait_full(self) -> None:
        try:
            async with asyncio.timeout(FLUSH_S):
                await self._full.wait()
        except TimeoutError:
            pass


class Recorder:
    """The events of one run, numbered. Used on the engine's event loop."""

    def __init__(self, run_id: str, seq: int, writer: Writer, hub: Hub, known: Iterable[str] = ()) -> None:
        self.run_id = run_id
        self.known = secrets.forms(known)
        self._sealed = False
        self.seq = seq
        self._writer, self._hub = writer, hub
        self._kind = ""
        self._parts: list[str] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._quiet_until = 0.0

    def keep_out(self, values: Iterable[str]) -> None:
        """From now on these secrets are masked too."""
        self.known |= secrets.forms(values)

    def emit(self, kind: str, data: dict[str, Any]) -> Event:
        """Record one event, after any text that was still growing."""
        # A model call is reported while the runtime still hands on its last words.
        self._send_text(complete=kind != "model.call")
        return self._put(kind, events.redacted(data, self.known))

    def grow(self, kind: str, text: str) -> None:
        """Add to ``text.delta`` or ``reasoning.delta``; pieces that come close together become one event."""
        if not text:
            return
        if kind != self._kind:
            self.flush_text()
            self._kind = kind
        self._parts.append(text)
        self._size += len(text)
        loop = asyncio.get_running_loop()
        if self._size >= COALESCE_CHARS or loop.time() >= self._quiet_until:
            self._send_text(complete=False)
        elif self._timer is None:
            self._timer = loop.call_at(self._quiet_until, self._send_text)

    def flush_text(self) -> None:
        """Send what has grown."""
        self._send_text(complete=True)

    def _send_text(self, complete: bool = False) -> None:
        """Send what has grown; until it is complete, without an end that may be half a secret."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._parts:
            return
        text = "".join(self._parts)
        ready = len(text) if complete else secrets.settled(text, self.known)
        self._parts = [text[ready:]] if ready < len(text) else []
        self._size = len(text) - ready
        if ready:
            self._quiet_until = asyncio.get_running_loop().time() + COALESCE_S
            for piece in _pieces(text[:ready], self.known):
                self._put(self._kind, events.redacted({"text": piece}, self.known))

    def final(self, kind: str, data: dict[str, Any]) -> Event:
        """The run's last event: numbered, not yet stored or shown. The caller stores it with the run's row
        in one transaction and then publishes it."""
        self.flush_text()
        self._sealed = True
        self.seq += 1
        return Event(self.run_id, self.seq, kind, events.redacted(data, self.known), events.now())

    async def flush(self) -> None:
        """Return when everything emitted so far is committed."""
        self.flush_text()
        await self._writer.flush(self.run_id)

    def _put(self, kind: str, data: dict[str, Any]) -> Event:
        if self._sealed:  # a model call may end after its run: it is metered, the record is closed
            return Event(self.run_id, self.seq, kind, data, events.now())
        self.seq += 1
        event = Event(self.run_id, self.seq, kind, data, events.now())
        self._hub.publish(event)
        self._writer.add(event)
        return event


def _pieces(text: str, known: events.Known) -> Iterator[str]:
    """Text that came at once, in parts that no event has to cut, none ending inside a secret."""
    while len(text) > PIECE_CHARS:
        end = secrets.settled(text[:PIECE_CHARS], known) or PIECE_CHARS
        yield text[:end]
        text = text[end:]
    yield text
