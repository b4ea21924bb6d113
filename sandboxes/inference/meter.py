"""The meter: what was measured is put down here at once and written to the database in batches, behind the call."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_PAUSE_S = 0.1
_PAUSE_WHILE_CLOSING_S = 0.1


class Meter(Generic[T]):
    """Collects records on one event loop and hands them to ``write``, one batch at a time.

    A batch goes out ``interval_s`` after its first record, or at once when ``batch`` records wait. A write
    that fails is tried again, with smaller batches and longer pauses, for as long as the process lives; a
    single record that cannot be written moves to the back, so that it does not hold up the others. A record
    may be written twice (a cancelled write is repeated): ``write`` must ignore an id it has.
    """

    def __init__(
        self,
        write: Callable[[list[T]], Awaitable[None]],
        *,
        what: str = "finished model calls",
        interval_s: float = 0.2,
        batch: int = 200,
        longest_pause_s: float = 5.0,
    ) -> None:
        self._write, self._what = write, what
        self._interval_s, self._batch, self._longest_pause_s = interval_s, batch, longest_pause_s
        self._waiting: deque[T] = deque()
        self._full = asyncio.Event()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Records not yet written."""
        return len(self._waiting)

    def add(self, record: T) -> None:
        """Take a record; returns at once, whatever the database does."""
        self._waiting.append(record)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._empty(), name=f"meter of {self._what}")
        if len(self._waiting) >= self._batch:
            self._full.set()

    async def close(self, *, timeout_s: float = 5.0) -> int:
        """Write what waits; how many records could not be written within ``timeout_s``."""
        self._closing.set()
        self._full.set()
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task], timeout=timeout_s)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._waiting:
            logger.error("%d %s could not be written", len(self._waiting), self._what)
        return len(self._waiting)

    async def _empty(self) -> None:
        """Runs while there is something to write, then ends; ``add`` starts it again."""
        size, pause_s = self._batch, 0.0
        while self._waiting:
            if pause_s:
                await _wait(self._closing, pause_s)
            elif len(self._waiting) < self._batch:
                await _wait(self._full, self._interval_s)
            self._full.clear()
            # Records leave the queue only after their write, so that a cancelled one loses nothing.
            records = list(islice(self._waiting, size))
            if await self._attempt(records):
                for _ in records:
                    self._waiting.popleft()
                size, pause_s = self._batch, 0.0
                continue
            if len(records) == 1:
                self._waiting.rotate(-1)
            size = max(1, len(records) // 2)
            pause_s = min(pause_s * 2 or _FIRST_PAUSE_S, self._longest_pause_s)
            if self._closing.is_set():
                await asyncio.sleep(_PAUSE_WHILE_CLOSING_S)

    async def _attempt(self, records: list[T]) -> bool:
        try:
            await self._write(records)
        except Exception:
            logger.exception("%d %s were not written; trying again", len(records), self._what)
            return False
        return True


async def _wait(event: asyncio.Event, at_most_s: float) -> None:
    try:
        async with asyncio.timeout(at_most_s):
            await event.wait()
    except TimeoutError:
        pass
