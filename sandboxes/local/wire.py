"""Messages between host, keeper and PID 1: one JSON object per SEQPACKET datagram, with descriptors beside it.

Nobody here ever blocks: what a peer does not take at once waits in an ``Outbox``. A message always arrives, its
descriptors may not (the receiver is out of descriptors, or too many are in flight for this user); whoever expects
some counts them. Runs inside the sandbox too (see ``pid1``): standard library only, Python 3.9 or newer.
"""

from __future__ import annotations

import array
import collections
import errno
import json
import os
import socket
from typing import Any, Iterable  # noqa: UP035 (3.9 inside)

VERSION = 1  # of the conversation between host and keeper; keepers outlive upgrades of the host
MAX_MESSAGE_BYTES = 128 * 1024  # below the default socket buffer of 208 KiB, so one always fits an idle socket
MAX_DESCRIPTORS = 32
_ANCILLARY_BYTES = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)


class Malformed(Exception):
    """The peer sent something that is not one JSON object of a permitted size."""


def encode(message: dict[str, Any]) -> bytes:
    """ValueError if it would not fit into one datagram."""
    data = json.dumps(message, separators=(",", ":")).encode()
    if len(data) > MAX_MESSAGE_BYTES:
        raise ValueError(f"a message of {len(data)} bytes exceeds {MAX_MESSAGE_BYTES}")
    return data


def receive(peer: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """One message and its descriptors (the caller's to close); (None, []) once the peer is gone.

    BlockingIOError if nothing waits; Malformed if it is not a message, its descriptors are closed then.
    """
    data, ancillary, flags, _ = peer.recvmsg(MAX_MESSAGE_BYTES + 1, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    received = list(descriptors)
    if not data:
        close_all(received)
        return None, []
    try:
        message = json.loads(data) if not flags & socket.MSG_TRUNC else None
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        close_all(received)
        raise Malformed
    return message, received


def close_all(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


class Outbox:
    """What waits to be sent to one peer, in order. It owns the descriptors handed to it and closes them."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._waiting: collections.deque[tuple[bytes, list[int]]] = collections.deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: dict[str, Any], descriptors: Iterable[int] = ()) -> None:
        """Send now or later. OSError if the peer is gone, ValueError if the message is too long."""
        owned = list(descriptors)
        try:
            data = encode(message)
        except ValueError:
            close_all(owned)
            raise
        self._waiting.append((data, owned))
        if len(self._waiting) == 1:
            self.flush()

    def flush(self) -> None:
        while self._waiting:
            data, descriptors = self._waiting[0]
            try:
                _send(self._peer, data, descriptors)
            except BlockingIOError:
                return
            close_all(descriptors)
            self._waiting.popleft()

    def close(self) -> None:
        while self._waiting:
            close_all(self._waiting.popleft()[1])


def _send(peer: socket.socket, data: bytes, descriptors: list[int]) -> None:
    flags = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
    if not descriptors:
        peer.send(data, flags)
        return
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
    try:
        peer.sendmsg([data], rights, flags)
    except OSError as problem:
        # Somebody of our uid, possibly the agent, holds thousands of descriptors in flight.
        if problem.errno != errno.ETOOMANYREFS:
            raise
        peer.send(data, flags)
