"""The purser of one engine: takes what its calls need, and carries it to the ledger in batches."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from runs.budgets import ledger, words
from runs.budgets.ledger import Answer, Op, Reserve, Settle

logger = logging.getLogger(__name__)

# Runs a function of the database in a thread.
Pen = Callable[..., Awaitable[Any]]

BATCH = 500
# A reservation that cannot be written is tried again for about this long, then the call is refused.
ATTEMPTS = 5
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0


@dataclass(slots=True)
class _Waiting:
    op: Op
    answer: asyncio.Future[Answer]
    attempts: int = 0


class Purser:
    """Used on one event loop. Reservations are answered; settlements are kept until they are written."""

    def __init__(self, pen: Pen, holder: str) -> None:
        self._pen, self._holder = pen, holder
        self._waiting: deque[_Waiting] = deque()
        self._task: asyncio.Task[None] | None = None

    async def reserve(self, op: Reserve) -> Answer:
        """The ledger's answer; a refusal when it cannot be written."""
        return await self._add(op)

    def settle(self, op: Settle) -> asyncio.Future[Answer]:
        """A call is over. Returns at once."""
        return self._add(op)

    async def close(self, *, timeout_s: float = 5.0) -> int:
        """Write what waits; how much could not be. What is left open is settled once this engine is known to be gone."""
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task], timeout=timeout_s)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._waiting:
            logger.error("%d entries of the ledger could not be written", len(self._waiting))
        return len(self._waiting)

    def _add(self, op: Op) -> asyncio.Future[Answer]:
        loop = asyncio.get_running_loop()
        waiting = _Waiting(op, loop.create_future())
        self._waiting.append(waiting)
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._empty(), name="purser")
        return waiting.answer

    async def _empty(self) -> None:
        pause_s = 0.0
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                answers = await self._pen(ledger.post, [each.op for each in batch], self._holder)
            except asyncio.CancelledError:
                self._waiting.extendleft(reversed(batch))
                raise
            except Exception:
                logger.exception("%d entries of the ledger were not written; trying again", len(batch))
                self._put_back(batch)
                pause_s = min(pause_s * 2 or FIRST_PAUSE_S, LONGEST_PAUSE_S)
                await asyncio.sleep(pause_s)
                continue
            pause_s = 0.0
            for each, answer in zip(batch, answers, strict=True):
                if not each.answer.done():
                    each.answer.set_result(answer)

    def _put_back(self, batch: list[_Waiting]) -> None:
        """A reservation waits only so long: its call is refused rather than made unpaid."""
        kept = []
        for each in batch:
            each.attempts += 1
            if isinstance(each.op, Settle) or (each.attempts < ATTEMPTS and not each.answer.done()):
                kept.append(each)
            elif not each.answer.done():
                each.answer.set_result(Answer(refusal=words.unchecked()))
        self._waiting.extendleft(reversed(kept))
