"""Writes of one turn of the event loop leave together: the head of an answer and its body are one call of the system."""

from __future__ import annotations

import asyncio
from typing import Any

# What is large leaves at once, so that a reader who is slow is noticed.
MOST_GATHERED = 64 * 1024


class Gathering:
    """A transport as uvicorn uses one, around the real one."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        """Sent before the loop waits for anything."""
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(data)
        self._size += len(data)
        if self._size >= MOST_GATHERED:
            self.flush()

    def close(self) -> None:
        """What was written is sent first."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        self._parts.clear()
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def flush(self) -> None:
        """Send what was gathered so far."""
        if self._parts:
            parts, self._parts, self._size = self._parts, [], 0
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))
