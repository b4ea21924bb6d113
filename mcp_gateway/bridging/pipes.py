"""Standard input and output of the bridge: lines in, however long somebody makes them; messages out, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import re
import threading
from dataclasses import dataclass

from mcp_gateway import jsonrpc
from mcp_gateway.exchange import MAX_BODY
from mcp_gateway.jsonrpc import Message

CHUNK = 65_536
# What is kept of a line that is too long, to find whose it was.
HEAD = 4_096
# What a client may leave unread before the bridge reads on.
MAX_UNREAD = 64 * 1024 * 1024
_ID = re.compile(rb'"id"\s*:\s*(\d{1,18}|"(?:[^"\\]|\\.){0,200}")')


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line of more than we carry; ``id`` is whose it was, where that could be seen."""

    id: str | int | None


Line = bytes | TooLong


class Lines:
    """Lines of a file descriptor, read by a thread of their own: regular files and terminals work as pipes do."""

    def __init__(self, fd: int, longest: int = MAX_BODY) -> None:
        self._fd, self._longest = fd, longest
        self._room = threading.Semaphore(16)
        self._found: asyncio.Queue[Line | None] = asyncio.Queue()

    async def next(self) -> Line | None:
        """The next line that is not empty, None after the last."""
        line = await self._found.get()
        self._room.release()
        return line

    def start(self) -> None:
        """Begin to read, on the running loop."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(loop,), daemon=True, name="mcp-bridge-stdin").start()

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        def give(line: Line | None) -> None:
            self._room.acquire()
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._found.put_nowait, line)

        rest, size, tail = b"", 0, b""
        parts: list[bytes] = []
        while True:
            try:
                data = os.read(self._fd, CHUNK)
            except OSError:
                data = b""
            if not data:
                break
            rest = data
            while rest:
                piece, newline, rest = rest.partition(b"\n")
                size += len(piece)
                if size <= self._longest:
                    parts.append(piece)
                else:
                    parts = [b"".join([*parts, piece])[:HEAD]]
                    tail = (tail + piece)[-HEAD:]
                if newline:
                    if line := _line(b"".join(parts), size > self._longest, tail):
                        give(line)
                    parts, size, tail = [], 0, b""
        if line := _line(b"".join(parts), size > self._longest, tail):
            give(line)
        give(None)


def _line(text: bytes, is_too_long: bool, tail: bytes) -> Line | None:
    if is_too_long:
        found = _ID.search(text) or next(reversed(list(_ID.finditer(tail))), None)
        return TooLong(jsonrpc.loads(found[1]) if found else None)
    return text.strip() or None


class Mouth:
    """Messages to a file descriptor, one a line, written by a thread so that a client that does not read holds up
    nobody but itself."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._unread, self._lock = 0, threading.Lock()
        self.is_shut = False
        self._thread = threading.Thread(target=self._write, daemon=True, name="mcp-bridge-stdout")
        self._thread.start()

    async def say(self, message: Message) -> None:
        """One message, as soon as the client has read enough of those before it."""
        line = jsonrpc.dumps(message) + b"\n"
        while self._unread > MAX_UNREAD and not self.is_shut:
            await asyncio.sleep(0.02)
        with self._lock:
            self._unread += len(line)
        self._lines.put(line)

    def close(self, patience_s: float) -> None:
        """Write what is left, while the client reads it."""
        self._lines.put(None)
        self._thread.join(patience_s)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            left = memoryview(line)
            while left and not self.is_shut:
                try:
                    left = left[os.write(self._fd, left) :]
                except OSError:
                    self.is_shut = True
            with self._lock:
                self._unread -= len(line)
