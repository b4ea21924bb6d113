"""Messages with descriptors: nothing blocks, nothing leaks, nonsense is refused."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from sandboxes.local import wire

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    one.setblocking(False)
    other.setblocking(False)
    with one, other:
        yield one, other


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_message_and_its_descriptors_arrive(pair: Pair) -> None:
    read, write = os.pipe()
    wire.Outbox(pair[0]).put({"op": "exec", "id": 1}, [write])

    message, descriptors = wire.receive(pair[1])
    os.write(descriptors[0], b"x")

    assert message == {"op": "exec", "id": 1}
    assert os.read(read, 10) == b"x"
    assert not os.get_inheritable(descriptors[0])
    os.close(read)
    os.close(descriptors[0])


def test_what_the_peer_does_not_take_waits_in_order(pair: Pair) -> None:
    outbox = wire.Outbox(pair[0])
    for number in range(2000):
        outbox.put({"id": number})
    assert len(outbox) > 0

    received: list[Any] = []
    while len(received) < 2000:
        try:
            message, _ = wire.receive(pair[1])
            assert message is not None
            received.append(message["id"])
        except BlockingIOError:
            outbox.flush()

    assert received == list(range(2000))
    assert len(outbox) == 0


def test_an_outbox_closes_what_it_could_not_send(pair: Pair) -> None:
    outbox = wire.Outbox(pair[0])
    while not len(outbox):
        outbox.put({"filler": "x" * 1000})
    before = open_descriptors()
    read, write = os.pipe()
    outbox.put({"op": "dialled"}, [read, write])

    outbox.close()

    assert open_descriptors() == before


def test_the_end_of_the_peer_is_none(pair: Pair) -> None:
    pair[0].close()

    assert wire.receive(pair[1]) == (None, [])


def test_silence_is_not_the_end(pair: Pair) -> None:
    with pytest.raises(BlockingIOError):
        wire.receive(pair[1])


@pytest.mark.parametrize("data", [b"nonsense", b"[1]", b"\xff", b"null", b"[" * 100_000])
def test_nonsense_is_malformed(pair: Pair, data: bytes) -> None:
    pair[0].send(data)

    with pytest.raises(wire.Malformed):
        wire.receive(pair[1])


def test_the_descriptors_of_a_malformed_message_are_closed(pair: Pair) -> None:
    before = open_descriptors()
    socket.send_fds(pair[0], [b"nonsense"], [0, 1])

    with pytest.raises(wire.Malformed):
        wire.receive(pair[1])

    assert open_descriptors() == before


def test_a_message_that_is_too_long_is_refused_and_its_descriptors_closed(pair: Pair) -> None:
    before = open_descriptors()

    with pytest.raises(ValueError):
        wire.Outbox(pair[0]).put({"argv": "x" * wire.MAX_MESSAGE_BYTES}, [os.dup(0)])

    assert open_descriptors() == before


def test_the_longest_message_fits_an_idle_socket(pair: Pair) -> None:
    outbox = wire.Outbox(pair[0])
    message = {"x": "y" * (wire.MAX_MESSAGE_BYTES - 8)}

    outbox.put(message)

    assert wire.receive(pair[1]) == (message, [])


class CrowdedPeer:
    """A socket whose user has too many descriptors in flight."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def sendmsg(self, *arguments: object) -> int:
        raise OSError(errno.ETOOMANYREFS, "Too many references")

    def send(self, data: bytes, flags: int) -> int:
        self.sent.append(data)
        return len(data)


def test_a_message_arrives_without_its_descriptors_when_too_many_are_in_flight() -> None:
    peer = CrowdedPeer()
    before = open_descriptors()

    wire.Outbox(peer).put({"op": "dialled", "errno": 0}, [os.dup(0)])  # type: ignore[arg-type]

    assert peer.sent == [b'{"op":"dialled","errno":0}']
    assert open_descriptors() == before
