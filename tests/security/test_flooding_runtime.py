"""What answers as the agent runtime talks without end and without a pause."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time

from runs.ending import Ending
from runs.execution import EVENT_CHARS, MOST_TOLD_CHARS, Execution
from runs.models import Status
from runs.settling import Figures, Outcome
from sandboxes.hermes.client import HermesClient
from sandboxes.hermes.events import TextDelta, ToolStarted

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def flood(connection: socket.socket, frames: bytes) -> None:
    with contextlib.suppress(OSError), connection:
        connection.recv(65536)
        connection.sendall(HEAD)
        while True:
            connection.sendall(frames)


async def longest_wait_s(frames: bytes, seconds: float) -> float:
    """How long others had to wait for their turn while a flood of these frames was read."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    threading.Thread(target=flood, args=(theirs, frames), daemon=True).start()

    async def dial() -> socket.socket:
        return ours

    async def read() -> None:
        async with HermesClient(dial, "key") as client, contextlib.aclosing(client.events("run_1")) as events:
            async for _ in events:
                pass

    reading, longest = asyncio.create_task(read()), 0.0
    ends = time.monotonic() + seconds
    while (began := time.monotonic()) < ends:
        await asyncio.sleep(0)
        longest = max(longest, time.monotonic() - began)
    assert not reading.done()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    return longest


def test_others_have_their_turn_while_a_runtime_sends_events_that_say_nothing() -> None:
    assert asyncio.run(longest_wait_s(b"data: {}\n\n" * 1000, 3.0)) < 20


def test_others_have_their_turn_while_a_runtime_sends_comments_only() -> None:
    assert asyncio.run(longest_wait_s(b":\n" * 10_000, 3.0)) < 20


class Told(Execution):
    """An execution that only counts."""

    def __init__(self) -> None:
        self.told_chars, self.has_stopped = 0, False
        self.ending = Ending.__new__(Ending)
        self.ending.said, self.ending.figures = ["so far"], Figures()

    async def _stop_runtime(self) -> None:
        self.has_stopped = True


async def end_of(run: Told, event: TextDelta | ToolStarted, times: int) -> Outcome | None:
    for _ in range(times):
        if outcome := await run._flooded(event):
            return outcome
    return None


def test_a_run_whose_runtime_tells_of_tools_without_end_fails_and_keeps_what_was_said() -> None:
    run, limit = Told(), MOST_TOLD_CHARS // EVENT_CHARS
    assert asyncio.run(end_of(run, ToolStarted(0.0, "terminal"), limit)) is None
    outcome = asyncio.run(end_of(run, ToolStarted(0.0, "terminal"), 1))
    assert outcome is not None
    assert (outcome.status, outcome.text) == (Status.FAILED, "so far")
    assert run.has_stopped


def test_a_run_whose_runtime_talks_without_end_fails_though_a_long_answer_in_small_pieces_is_fine() -> None:
    assert asyncio.run(end_of(Told(), TextDelta(0.0, "word "), 500_000)) is None
    assert asyncio.run(end_of(Told(), TextDelta(0.0, "x" * 1_000_000), 21)) is not None
