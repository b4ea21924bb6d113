"""How long a call waits for its provider, and that it stops at once when the runtime has left."""

from __future__ import annotations

import asyncio
import math
from typing import Literal

Cause = Literal["left", "first byte", "idle", "halted"]


class GaveUp(Exception):
    """Waiting was ended from outside, because of ``cause``."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause)
        self.cause = cause


class Patience:
    """A context in which waiting ends by ``GaveUp``: after ``first_byte_s``, later after ``idle_s`` without a
    byte, or by ``give_up``. One timer serves the whole call, so that a chunk costs an attribute and no more.

    Time in which the runtime is slow to take what it is given does not count (``pause``)."""

    def __init__(self, first_byte_s: float, idle_s: float) -> None:
        self._first_byte_s, self._idle_s = first_byte_s, idle_s
        self._has_begun = False
        self._cause: Cause | None = None
        self._task: asyncio.Task[object] | None = None

    def __enter__(self) -> Patience:
        self._loop = asyncio.get_running_loop()
        self._task = task = asyncio.current_task()
        self._cancelling = task.cancelling() if task is not None else 0
        now = self._loop.time()
        self._deadline = now + self._first_byte_s
        self._timer = self._loop.call_at(min(self._deadline, now + self._idle_s), self._look)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._timer.cancel()
        cause, self._task = self._cause, None
        if cause is None:
            return
        task = asyncio.current_task()
        # As asyncio.timeout does it: a cancellation from elsewhere at the same moment is not swallowed.
        if task is not None and task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise GaveUp(cause) from error

    def wait(self) -> None:
        """From here on the provider is waited for."""
        self._has_begun = True
        self._deadline = self._loop.time() + self._idle_s

    def pause(self) -> None:
        """From here on nobody waits for the provider."""
        self._has_begun = True
        self._deadline = math.inf

    def give_up(self, cause: Cause) -> None:
        """End the waiting; the first cause counts."""
        if self._task is not None and self._cause is None:
            self._cause = cause
            self._task.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        if now >= self._deadline:
            self.give_up("idle" if self._has_begun else "first byte")
            return
        # Never later than one idle time from now: no wait that begins meanwhile can end sooner.
        self._timer = self._loop.call_at(min(self._deadline, now + self._idle_s), self._look)
