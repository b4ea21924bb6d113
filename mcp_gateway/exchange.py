"""One HTTP request of an MCP client and the answer to it: JSON at once, or a stream once there is something to tell."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from mcp_gateway import jsonrpc
from mcp_gateway.jsonrpc import Message

T = TypeVar("T")
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

MAX_BODY = 4 * 1024 * 1024
# An answer that takes longer than this becomes a stream, so that nothing on the way takes the silence for an end.
QUIET_S, HEARTBEAT_S = 10.0, 15.0
# Most answers come sooner than this; only then is it watched whether the caller is still there.
SOON_S = 0.05
# What may wait to be told to one caller; progress beyond it is dropped, an answer never.
MAX_TOLD = 256

_JSON = (b"content-type", b"application/json")
_STREAM = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]


class Left(Exception):
    """The caller closed the connection: that is how it cancels."""


class TooLarge(Exception):
    """The request's body is larger than we take."""


async def read_body(receive: Receive, announced: int | None) -> bytes:
    """The whole body. Raises TooLarge, Left."""
    if announced is not None and announced > MAX_BODY:
        raise TooLarge
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Left
        part = bytes(message.get("body", b""))
        size += len(part)
        if size > MAX_BODY:
            raise TooLarge
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


class Exchange:
    """Where an answer goes."""

    def __init__(self, receive: Receive, send: Send, *, may_stream: bool) -> None:
        self._receive, self._send, self.may_stream = receive, send, may_stream
        self._told: list[Message] = []
        self._bell = asyncio.Event()
        self.is_open = False
        self._is_done = False

    def tell(self, message: Message) -> None:
        """Something the caller should hear before the answer; nothing when it takes only JSON."""
        if self.may_stream and not self._is_done and len(self._told) < MAX_TOLD:
            self._told.append(message)
            self._ring()

    async def until(self, answer: asyncio.Future[T], timeout_s: float | None) -> T:
        """The answer, everything told meanwhile sent on. Raises TimeoutError, Left, and what ``answer`` raises."""
        now = asyncio.get_running_loop().time
        ends = math.inf if timeout_s is None else now() + timeout_s
        gone: asyncio.Future[None] | None = None
        answer.add_done_callback(self._ring)
        try:
            while True:
                quiet_s = HEARTBEAT_S if self.is_open else QUIET_S
                await self._rung(min(SOON_S if gone is None else quiet_s, ends - now()))
                has_told = bool(self._told)
                if has_told:
                    await self._flush()
                if answer.done():
                    return answer.result()
                if gone is not None and gone.done():
                    raise Left
                if now() >= ends:
                    raise TimeoutError
                if gone is None:
                    gone = asyncio.ensure_future(self._gone())
                    gone.add_done_callback(self._ring)
                elif not has_told and self.may_stream:
                    await self._heartbeat()
        finally:
            answer.remove_done_callback(self._ring)
            if gone is not None:
                gone.cancel()

    async def _rung(self, patience_s: float) -> None:
        """Return when something has happened, or after ``patience_s``."""
        if not self._bell.is_set():
            timer = asyncio.get_running_loop().call_later(max(0.0, patience_s), self._ring)
            try:
                await self._bell.wait()
            finally:
                timer.cancel()
        self._bell.clear()

    def _ring(self, done: Any = None) -> None:
        self._bell.set()

    async def finish(
        self, status: int, message: Message | None, headers: list[tuple[bytes, bytes]] | None = None
    ) -> None:
        """The last word, after all that was told."""
        if self._told:
            await self._flush()
        self._is_done = True
        if self.is_open:
            body = b"" if message is None else _event(message)
            await self._send({"type": "http.response.body", "body": body, "more_body": False})
            return
        body = b"" if message is None else jsonrpc.dumps(message)
        head = [_JSON] if message is not None else []
        head += [(b"content-length", b"%d" % len(body)), *(headers or ())]
        await self._send({"type": "http.response.start", "status": status, "headers": head})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def open(self) -> None:
        """Begin a stream."""
        if not self.is_open:
            self.is_open = True
            await self._send({"type": "http.response.start", "status": 200, "headers": _STREAM})

    async def _flush(self) -> None:
        told, self._told = self._told, []
        await self.open()
        for message in told:
            await self._send({"type": "http.response.body", "body": _event(message), "more_body": True})

    async def _heartbeat(self) -> None:
        await self.open()
        await self._send({"type": "http.response.body", "body": b": waiting\n\n", "more_body": True})

    async def _gone(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return

    async def stream_until(self, over: asyncio.Future[None], longest_s: float | None) -> None:
        """Go on telling until the caller leaves, or it is over, or for so long; then the stream is closed."""
        await self.open()
        try:
            with contextlib.suppress(TimeoutError):
                await self.until(over, longest_s)
        except Left:
            return
        await self.finish(200, None)


def _event(message: Message) -> bytes:
    return b"event: message\ndata: " + jsonrpc.dumps(message) + b"\n\n"
