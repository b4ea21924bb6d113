"""Write a piece of a running response to its socket at once, and hold the application back while it is not read.

Twisted buffers what is written and sends it a turn of the loop later; a live stream with many viewers pays that
for each. And it buffers without bound: a viewer who does not read would cost memory for as long as a run talks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

# Above this the application waits; what it does not take in time, its viewer reads from rows later.
UNREAD_BYTES = 256 * 1024
FIRST_LOOK_S, LONGEST_LOOK_S = 0.002, 0.1


class Push:
    """One response's way past the application's task: ``scope["extensions"]["logos.push"]``.

    For who has hundreds of viewers and one thing to tell all of them: the turn each task takes would cost more
    than the writing."""

    __slots__ = ("_request",)

    def __init__(self, request: Any) -> None:
        self._request = request

    def is_free(self) -> bool:
        """May be written to now: it has begun, goes on, and nothing waits before it."""
        request = self._request
        is_on = request.startedWriting and request.chunked and not request.finished and request.channel is not None
        return bool(is_on) and not unread(request)

    def write(self, body: bytes) -> None:
        """A piece of the response; only when it is free."""
        write(self._request, body)


def write(request: Any, body: bytes) -> bool:
    """Send a piece of a chunked response that has begun; False when it is not one and the usual way must be taken."""
    if request.finished or not (request.startedWriting and request.chunked) or request.channel is None:
        return False
    transport = request.channel.transport
    if not body or transport is None or not transport.connected:
        return True
    request.sentLength += len(body)
    send(transport, b"%x\r\n%b\r\n" % (len(body), body))
    return True


def send(transport: Any, piece: bytes) -> None:
    """Write to a connected transport, past its buffer where that is empty."""
    sent = 0
    if not (transport._tempDataLen or transport.dataBuffer):  # else what waits goes first
        try:
            sent = transport.socket.send(piece)
        except OSError:
            pass  # full, interrupted or lost: Twisted tries again, and knows what to do
    if sent < len(piece):
        transport.write(piece[sent:])


def unread(request: Any) -> int:
    """How many bytes wait for the viewer in this process; 0 for a connection that is gone."""
    return _waiting(getattr(request.channel, "transport", None))


def unread_socket(protocol: Any) -> int:
    """The same for a websocket."""
    return _waiting(getattr(protocol, "transport", None))


def _waiting(transport: Any) -> int:
    if transport is None or not getattr(transport, "connected", False):
        return 0
    return int(len(transport.dataBuffer) - transport.offset + transport._tempDataLen)


async def read_on(request: Any) -> None:
    """Return once the viewer has read most of what was written, or is gone."""
    await _until_read(lambda: not request.finished and unread(request) > UNREAD_BYTES)


async def socket_read_on(protocol: Any) -> None:
    """The same for a websocket."""
    await _until_read(lambda: unread_socket(protocol) > UNREAD_BYTES)


async def _until_read(waits: Callable[[], bool]) -> None:
    pause_s = FIRST_LOOK_S
    while waits():
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, LONGEST_LOOK_S)
