"""What is written in one turn of the loop leaves as one; nothing is lost, held back, or sent after an abort."""

from __future__ import annotations

import asyncio

from sandboxes.inference import gathering
from sandboxes.inference.gathering import Gathering


class Wire(asyncio.Transport):
    """What was sent, in its pieces."""

    def __init__(self) -> None:
        super().__init__({"peername": "somebody"})
        self.sent: list[bytes] = []

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.sent.append(data)

    def close(self) -> None:
        self.sent.append(b"<closed>")

    def abort(self) -> None:
        self.sent.append(b"<aborted>")


def a_wire() -> tuple[Wire, Gathering]:
    wire = Wire()
    return wire, Gathering(wire, asyncio.get_running_loop())


async def test_a_head_and_its_body_are_one_and_the_next_turn_is_another() -> None:
    wire, gathering = a_wire()

    gathering.write(b"head ")
    gathering.write(b"body")
    assert wire.sent == []
    await asyncio.sleep(0)
    gathering.write(b"more")
    await asyncio.sleep(0)

    assert wire.sent == [b"head body", b"more"]
    assert gathering.get_extra_info("peername") == "somebody"


async def test_what_is_large_leaves_at_once() -> None:
    wire, each = a_wire()

    each.write(b"x" * (gathering.MOST_GATHERED - 1))
    assert wire.sent == []
    each.write(b"yz")
    assert [len(part) for part in wire.sent] == [gathering.MOST_GATHERED + 1]
    each.write(b"rest")
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert wire.sent[1:] == [b"rest"]


async def test_closing_sends_what_was_written_and_aborting_does_not() -> None:
    (closed, first), (aborted, second) = a_wire(), a_wire()
    for each in (first, second):
        each.write(b"last words")

    first.close()
    second.abort()
    await asyncio.sleep(0)

    assert closed.sent == [b"last words", b"<closed>"]
    assert aborted.sent == [b"<aborted>"]
