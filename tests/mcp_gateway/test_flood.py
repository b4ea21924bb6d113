"""A server that talks without end is heard more slowly, and costs nobody else their answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mcp_gateway import introducing, unasked
from mcp_gateway.introducing import Known
from mcp_gateway.lines import LinePeer
from mcp_gateway.peers import Peer
from mcp_gateway.remote.peer import RemoteLaunch
from mcp_gateway.remote.streams import IDLE_LINES, Events
from mcp_gateway.unasked import AT_ONCE, PER_S, Unasked
from tests.mcp_gateway.elsewhere import elsewhere
from tests.mcp_gateway.gate import a_gate, until


def test_what_may_be_said_at_once_and_what_for_long() -> None:
    server = Unasked()

    assert not any(server.said(100.0) for _ in range(int(AT_ONCE)))
    assert server.said(100.0) == 1 / PER_S
    assert server.said(100.0) == 2 / PER_S
    assert server.said(100.5) == 0.0
    assert all(server.said(101.0 + second / PER_S) == 0.0 for second in range(10_000))
    for _ in range(100_000):
        longest = server.said(200.0)
    assert longest == unasked.MOST_S


async def test_a_flood_of_news_is_looked_at_a_few_times_and_answers_still_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks, look = [], introducing.all_tools

    async def looked(child: Peer, known: Known) -> Any:
        looks.append(child)
        return await look(child, known)

    monkeypatch.setattr(introducing, "all_tools", looked)
    # So little that a slow machine cannot be slower; the longest pause is then the shortest too.
    monkeypatch.setattr(unasked, "PER_S", 1.0)
    monkeypatch.setattr(unasked, "MOST_S", 0.2)
    async with a_gate() as gate:
        loud = gate.add("loud")
        gate.add("calm")
        times = int(AT_ONCE * 2)
        await gate.call("loud", "flood", times=times)

        assert "result" in await gate.call("calm", "echo")
        await until(lambda: any("more slowly" in line for line in loud.errors), "it is held back")
        assert (await gate.call("loud", "echo", text="behind it all"))["result"]["content"][0][
            "text"
        ] == "behind it all"
        await gate.call("loud", "grow", name="one more")
        async with asyncio.timeout(60):
            while "one more" not in await gate.listed("loud"):
                await asyncio.sleep(0.05)

        assert 2 <= len(looks) < times / 20
        assert sum("more slowly" in line for line in loud.errors) == 1
        assert loud.starts == 1


class Still(Unasked):
    """No time passes, so nothing is allowed anew."""

    def said(self, now: float, count: int = 1) -> float:
        return super().said(100.0, count)


class Fed(LinePeer):
    """Given what a server says; it counts how often it was not to be heard for a while."""

    held = 0

    def __init__(self) -> None:
        super().__init__(lambda message: None, lambda child, message: None)
        self._unasked = Still()

    def _output(self) -> Any:
        return self

    def pause_reading(self) -> None:
        self.held += 1

    def resume_reading(self) -> None: ...

    def send(self, message: Any) -> None: ...

    async def stop(self) -> None: ...


@pytest.mark.parametrize("line", [b"\n", b" \n", b"{}\n", b'{"id": 9, "result": {}}\n', b"noise\n"])
async def test_whatever_nobody_asked_for_counts(line: bytes) -> None:
    server = Fed()

    server.hear_output(line * int(AT_ONCE))
    before = server.held
    server.hear_output(line * 2_000)

    assert (before, server.held) == (0, 1)


async def test_answers_count_for_nothing_and_once() -> None:
    server = Fed()
    calls = [server.ask("tools/list", {}) for _ in range(int(AT_ONCE) * 2)]
    said = b"".join(b'{"id": %d, "result": {}}\n' % call.id for call in calls)
    for at in range(0, len(said), 7_000):
        server.hear_output(said[at : at + 7_000])

    assert server.held == 0
    assert all(call.answer.done() for call in calls)
    server.hear_output(said)
    assert server.held == 1


LOUD = b'data: {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}\n\n'


@pytest.mark.parametrize(
    "words", [LOUD, b": still here\n", b"\n", b"id: 1\ndata:\n\n"], ids=["news", "comments", "nothing", "empty"]
)
async def test_a_server_elsewhere_is_heard_more_slowly_too_and_its_answers_come(words: bytes) -> None:
    async with a_gate() as gate, elsewhere(flood=words) as server:
        loud = gate.add("loud", start=RemoteLaunch(server.url, allows_private=True))
        await until(lambda: loud.state == "ready", "it is ready")
        flooding = asyncio.create_task(gate.call("loud", "flood"))

        await until(lambda: any("more slowly" in line for line in loud.errors), "it is held back")
        answers = [await gate.call("loud", "echo", text=str(number)) for number in range(3)]
        flooding.cancel()
        await until(lambda: not server.flooding, "it is not heard any more")

        assert [each["result"]["content"][0]["text"] for each in answers] == ["0", "1", "2"]
        assert sum("more slowly" in line for line in loud.errors) == 1
        assert loud.starts == 1


def test_what_says_nothing_on_a_stream_counts_once_it_is_too_much() -> None:
    stream = Events()

    assert stream.feed(b": ping\n" * IDLE_LINES) == []
    assert stream.feed(b"id: 1\nevent: message\ndata: {}\n\n") == [b"", b"", b"{}"]
    assert Events().feed(b"id: 1\ndata:\n\ndata: {}\n\n") == [b"{}"]
