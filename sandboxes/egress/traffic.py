"""What goes over one connection that was let through: carried both ways, counted, and ended when nobody speaks."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

from sandboxes.egress.requests import Asked

IDLE_TIMEOUT_S = 300.0
CHUNK = 64 * 1024


class Traffic:
    """Carries what both sides say, and counts it."""

    def __init__(self) -> None:
        self.sent = self.received = 0
        self.heard_at = time.monotonic()

    async def carry(
        self,
        asked: Asked,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
    ) -> None:
        """Until both sides have said everything, or neither has said anything for five minutes."""
        try:
            if asked.is_tunnel:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                asks = asyncio.create_task(self._pipe(reader, server_writer, "sent"))
            else:
                server_writer.write(asked.forwarded())
                asks = asyncio.create_task(self._body(asked.body, reader, server_writer))
            answers = asyncio.create_task(self._pipe(server_reader, writer, "received"))
            await _both(asks, answers, one_is_enough=not asked.is_tunnel)
        finally:
            server_writer.close()

    async def _pipe(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, counts: str) -> None:
        while data := await self._patiently(source.read, CHUNK):
            self._count(counts, len(data))
            await _push(data, sink)
        with contextlib.suppress(OSError):
            if sink.can_write_eof():
                sink.write_eof()

    async def _body(self, length: int, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Exactly the body and nothing behind it: a second request would go to the server undecided."""
        if length >= 0:
            await self._exactly(length, source, sink)
            return
        while True:
            line = await self._patiently(source.readuntil, b"\r\n")
            size = _chunk_size(line)
            sink.write(b"%x\r\n" % size)
            await self._exactly(size, source, sink)
            if await self._patiently(source.readexactly, 2) != b"\r\n":
                raise ConnectionAbortedError("a chunk does not end where it says")
            sink.write(b"\r\n")
            if size == 0:
                return

    async def _exactly(self, left: int, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while left:
            data = await self._patiently(source.read, min(left, CHUNK))
            if not data:
                raise ConnectionAbortedError("the body ended early")
            left -= len(data)
            self._count("sent", len(data))
            await _push(data, sink)

    async def _patiently(self, read: Callable[[Any], Awaitable[bytes]], amount: Any) -> bytes:
        """What ``read`` gives. Raises TimeoutError once neither side has said anything for IDLE_TIMEOUT_S: a long
        download is no silence because the program has nothing to add."""
        while True:
            left = self.heard_at + IDLE_TIMEOUT_S - time.monotonic()
            try:
                async with asyncio.timeout(max(left, 0.01)):
                    data = await read(amount)
            except TimeoutError:
                if time.monotonic() - self.heard_at >= IDLE_TIMEOUT_S:
                    raise
                continue
            self.heard_at = time.monotonic()
            return data

    def _count(self, counts: str, amount: int) -> None:
        if counts == "sent":
            self.sent += amount
        else:
            self.received += amount


def _chunk_size(line: bytes) -> int:
    # No extensions and no trailers: both are ways to say one thing to us and another to the server.
    digits = line[:-2]
    if not 1 <= len(digits) <= 8 or any(byte not in b"0123456789abcdefABCDEF" for byte in digits):
        raise ConnectionAbortedError("a chunk has no plain size")
    return int(digits, 16)


async def _both(asks: asyncio.Task[None], answers: asyncio.Task[None], *, one_is_enough: bool) -> None:
    """Return when both have ended, or, for one plain request, when the answer has; the first failure ends both."""
    try:
        await asyncio.wait({asks, answers}, return_when="FIRST_COMPLETED" if one_is_enough else "FIRST_EXCEPTION")
        if one_is_enough and not answers.done() and asks.exception() is None:
            await answers
    finally:
        asks.cancel()
        answers.cancel()
        await asyncio.gather(asks, answers, return_exceptions=True)
    for task in (asks, answers):
        if not task.cancelled() and (problem := task.exception()) is not None:
            raise problem


async def _push(data: bytes, sink: asyncio.StreamWriter) -> None:
    sink.write(data)
    async with asyncio.timeout(IDLE_TIMEOUT_S):  # of somebody who does not read
        await sink.drain()
