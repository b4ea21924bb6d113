"""Calls on their way to rows: a line in a file before one is made, rows in batches behind it, and no call that could not
be recorded."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from mcp_gateway import calls
from mcp_gateway.calls import Record
from mcp_gateway.journal import Journal

logger = logging.getLogger(__name__)

# Records that wait for the database; beyond them nothing new is carried. What goes on then may still lose its own.
MAX_RECORDS = 10_000
BATCH = 500
FULL = "Logos cannot record calls just now, so it makes none."

Db = Callable[..., Awaitable[Any]]


class Recorder:
    """Of one process; ``db`` runs a function with the database."""

    def __init__(self, db: Db, directory: Path, owner: str) -> None:
        self._db, self._journal = db, Journal(directory, owner)
        # Who wants to hear of a run's calls; the engine, where there is one.
        self.tell_run: Callable[[str, str, dict[str, Any]], None] = lambda run_id, kind, data: None
        # Calls that go on and have no row yet.
        self._begun: dict[str, Record] = {}
        self._ended: list[Record] = []
        self._lost = 0

    @property
    def is_full(self) -> bool:
        """May nothing begin, because it could not be recorded?"""
        return len(self._ended) >= MAX_RECORDS

    def begin(self, record: Record) -> None:
        """Before a call that may have an effect is made. Raises Unrecorded."""
        self._journal.begin(record)
        self._begun[record.id] = record

    def end(self, record: Record) -> None:
        """After a call, whatever came of it."""
        self._begun.pop(record.id, None)
        if record.run_id:
            data = {"server": record.server, "tool": record.tool, "outcome": record.outcome}
            more = {"duration_ms": round(record.duration_ms, 1), "reason": record.reason}
            self.tell_run(record.run_id, "mcp.call", data | more)
        if not self.is_full:
            self._ended.append(record)
            return
        self._lost += 1
        if self._lost == 1:
            logger.error("Records of MCP calls are lost: the database does not take them")

    async def flush(self) -> None:
        """Write down all that has begun or ended until now; what comes meanwhile is for the next time."""
        if self._begun:
            begun, self._begun = list(self._begun.values()), {}
            await self._db(calls.begin, begun)
        left = len(self._ended)
        while left > 0:
            batch = self._ended[: min(left, BATCH)]
            await self._db(calls.store, batch)
            del self._ended[: len(batch)]
            left -= len(batch)
            self._journal.stored(each.id for each in batch)
        if self._lost:
            logger.error("%s records of MCP calls were lost: the database did not take them", self._lost)
            self._lost = 0

    def close(self) -> None:
        """The process ends in order, after a last ``flush``."""
        self._journal.close()
