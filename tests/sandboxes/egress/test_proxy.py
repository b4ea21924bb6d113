"""The proxy over real sockets: what is denied is never looked up, what is allowed arrives whole, all of it is noted."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from agents.reach import Reach, parse
from sandboxes.driver import Program, Sockets
from sandboxes.egress import proxy, traffic
from sandboxes.egress.proxy import Decision, EgressProxy

CURL = "/usr/bin/curl"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Bench:
    """A proxy in front of one local server that stands for every public address."""

    port: int
    reach: Reach
    binary: str = CURL
    notes: list[Decision] = field(default_factory=list)
    looked_up: list[str] = field(default_factory=list)
    dialled: list[tuple[str, int]] = field(default_factory=list)
    addresses: list[str] = field(default_factory=lambda: ["1.1.1.1"])
    proxy: EgressProxy = field(init=False)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def say(self, data: bytes) -> bytes:
        """Everything that comes back until the proxy closes."""
        reader, writer = await self.open()
        writer.write(data)
        answer = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        return answer

    async def over(self, count: int = 1) -> list[Decision]:
        """The notes about connections that are over."""
        async with asyncio.timeout(60):
            while len(found := [note for note in self.notes if note.is_over]) < count:
                await asyncio.sleep(0.005)
        return found


class Told:
    """Says which program asked."""

    def __init__(self, these: Bench) -> None:
        self.these = these

    async def sockets(self) -> Sockets:
        return {}

    async def program(self, peer: tuple[str, int], own: tuple[str, int], before: Sockets) -> Program:
        return Program(self.these.binary)


@asynccontextmanager
async def bench(serve: Serve, *rules: dict) -> AsyncIterator[Bench]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    inner = server.sockets[0].getsockname()[1]
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    these = Bench(listener.getsockname()[1], Reach(parse([{"name": f"r{n}", **rule} for n, rule in enumerate(rules)])))

    async def lookup(host: str, port: int) -> list[str]:
        these.looked_up.append(host)
        return these.addresses

    async def connect(address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        these.dialled.append((address, port))
        return await asyncio.open_connection("127.0.0.1", inner)

    async def reach() -> Reach:
        return these.reach

    running = these.proxy = EgressProxy(reach, these.notes.append, Told(these), lookup=lookup, connect=connect)
    await running.serve(listener)
    try:
        yield these
    finally:
        await running.close()
        server.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def answer_ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers every request on the connection with what it received, as a server that keeps connections would."""
    seen = b""
    while data := await reader.read(65536):
        seen += data
        if seen.endswith((b"\r\n\r\n", b"end")):
            break
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + seen)
    await writer.drain()
    writer.close()


async def test_a_tunnel_to_an_allowed_host_carries_both_ways_and_is_noted_with_its_bytes() -> None:
    async with bench(echo, {"hosts": ["example.org"]}) as these:
        reader, writer = await these.open()
        writer.write(b"CONNECT example.org:443 HTTP/1.1\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 200 Connection established\r\n\r\n"
        writer.write(b"x" * 100_000)
        writer.write_eof()
        assert len(await asyncio.wait_for(reader.read(), 60)) == 100_000
        writer.close()
        (note,) = await these.over()

    assert (note.allowed, note.rule, note.binary, note.address) == (True, "r0", CURL, "1.1.1.1")
    assert (note.sent, note.received) == (100_000, 100_000)
    assert these.dialled == [("1.1.1.1", 443)]
    assert [each.is_over for each in these.notes] == [False, True]
    assert len({each.id for each in these.notes}) == 1


async def test_a_denied_name_is_never_looked_up_and_the_reason_reaches_the_program() -> None:
    async with bench(echo, {"hosts": ["example.org"]}) as these:
        answer = await these.say(b"CONNECT secret.data.evil.example:443 HTTP/1.1\r\n\r\n")
        (note,) = await these.over()

    assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert b"No rule names secret.data.evil.example." in answer
    assert (these.looked_up, these.dialled) == ([], [])
    assert (note.allowed, note.host, note.reason) == (
        False,
        "secret.data.evil.example",
        "No rule names secret.data.evil.example.",
    )


async def test_a_name_that_leads_inside_is_refused_and_nothing_is_dialled() -> None:
    async with bench(echo, {"hosts": ["example.org"]}) as these:
        these.addresses = ["1.1.1.1", "169.254.169.254"]
        answer = await these.say(b"CONNECT example.org:443 HTTP/1.1\r\n\r\n")
        (note,) = await these.over()

    assert answer.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert these.dialled == []
    assert (note.allowed, note.reason) == (
        False,
        "example.org leads to 169.254.169.254, which is not on the open internet.",
    )


async def test_a_program_that_cannot_be_told_is_denied_where_the_rule_names_programs() -> None:
    async with bench(echo, {"hosts": ["example.org"], "binaries": [CURL]}) as these:
        these.binary = ""
        answer = await these.say(b"CONNECT example.org:443 HTTP/1.1\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 403")


async def test_a_changed_policy_holds_at_the_next_connection() -> None:
    async with bench(answer_ok) as these:
        assert (await these.say(b"GET http://example.org/ HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 403")
        these.reach = Reach(parse([{"name": "new", "hosts": ["example.org"], "ports": [80]}]))
        assert (await these.say(b"GET http://example.org/ HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def test_a_plain_request_goes_on_with_the_host_that_was_decided() -> None:
    async with bench(answer_ok, {"hosts": ["example.org"], "ports": [80]}) as these:
        answer = await these.say(b"GET http://example.org/a HTTP/1.1\r\nHost: evil.example\r\nAccept: */*\r\n\r\n")

    assert answer.endswith(b"GET /a HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\nConnection: close\r\n\r\n")


async def test_a_second_request_on_the_connection_does_not_reach_the_server() -> None:
    smuggled = b"GET http://example.org/two HTTP/1.1\r\n\r\n"
    async with bench(answer_ok, {"hosts": ["example.org"], "ports": [80]}) as these:
        answer = await these.say(b"POST http://example.org/ HTTP/1.1\r\nContent-Length: 3\r\n\r\nend" + smuggled)

    assert b"/two" not in answer
    assert answer.endswith(b"\r\n\r\nend")


async def test_a_body_in_chunks_arrives_whole_and_nothing_behind_it() -> None:
    received = bytearray()

    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not received.endswith(b"0\r\n\r\n"):
            received.extend(await reader.read(65536))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    async with bench(collect, {"hosts": ["example.org"], "ports": [80]}) as these:
        body = b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\nGET /two HTTP/1.1\r\n\r\n"
        await these.say(b"POST http://example.org/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + body)

    assert bytes(received).endswith(b"3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "body", [b"3;x=y\r\nabc\r\n0\r\n\r\n", b"+3\r\nabc\r\n", b"3\r\nabcX\r\n", b"fffffffff\r\n", b"\r\n"]
)
async def test_a_body_in_odd_chunks_is_cut(body: bytes) -> None:
    async with bench(echo, {"hosts": ["example.org"], "ports": [80]}) as these:
        await these.say(b"POST http://example.org/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        (note,) = await these.over()

    assert note.is_over


async def test_what_cannot_be_read_is_refused_and_noted_without_a_host() -> None:
    async with bench(echo, {"hosts": ["example.org"]}) as these:
        answer = await these.say(b"CONNECT 127.0.0.1:443 HTTP/1.1\r\n\r\n")
        await these.say(b"\x16\x03\x01\x02\x00\r\n\r\n")
        await these.say(b"GET http://example.org/ HTTP/1.1\r\nX: " + b"y" * 70_000 + b"\r\n\r\n")
        notes = await these.over(3)

    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert [(note.host, note.allowed) for note in notes] == [("", False)] * 3
    assert these.looked_up == []


async def test_a_server_that_does_not_answer_is_said_to_and_the_next_address_is_tried() -> None:
    async with bench(echo, {"hosts": ["example.org"]}) as these:
        these.addresses = ["1.1.1.1", "8.8.8.8"]
        real, tried = these.dialled.append, []

        async def fails_once(address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            tried.append(address)
            real((address, port))
            raise ConnectionRefusedError

        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)

        async def reach() -> Reach:
            return these.reach

        async def lookup(host: str, port: int) -> list[str]:
            return these.addresses

        other = EgressProxy(reach, these.notes.append, Told(these), lookup=lookup, connect=fails_once)
        await other.serve(listener)
        these.port = listener.getsockname()[1]
        answer = await these.say(b"CONNECT example.org:443 HTTP/1.1\r\n\r\n")
        await other.close()

    assert tried == ["1.1.1.1", "8.8.8.8"]
    assert b"example.org did not answer." in answer


async def test_an_open_tunnel_is_cut_when_the_rules_come_to_deny_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "AGAIN_S", 0.02)
    async with bench(echo, {"hosts": ["example.org"]}) as these:
        reader, writer = await these.open()
        writer.write(b"CONNECT example.org:443 HTTP/1.1\r\n\r\n")
        assert b"200" in await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.1)
        assert not [note for note in these.notes if note.is_over]

        these.reach = Reach(())

        assert await asyncio.wait_for(reader.read(), 60) == b""
        (over,) = await these.over()
        writer.close()
    assert (over.allowed, over.reason) == (False, "Cut: No rule names example.org.")


async def test_more_connections_than_allowed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "MAX_CONNECTIONS", 2)
    async with bench(echo, {"hosts": ["example.org"]}) as these:
        held = [await these.open() for _ in range(2)]
        for _, writer in held:
            writer.write(b"CONNECT example.org:443 HTTP/1.1\r\n\r\n")
        for reader, _ in held:
            await reader.readuntil(b"\r\n\r\n")
        answer = await these.say(b"CONNECT example.org:443 HTTP/1.1\r\n\r\n")
        for _, writer in held:
            writer.close()

    assert answer.startswith(b"HTTP/1.1 503")


def cut_off(told: list[Decision]) -> int:
    """How many the notes say were not read."""
    return sum(int(note.reason.split(":")[1].split()[0]) for note in told)


async def test_thousands_of_connections_are_cut_off_unread_and_told_in_one_note(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proxy, "MAX_CONNECTIONS", 2)
    monkeypatch.setattr(proxy, "REFUSED_AT_ONCE", 1)
    monkeypatch.setattr(proxy, "TELL_CUT_OFF_S", 1.0)
    async with bench(echo, {"hosts": ["example.org"]}) as these:
        held = [await these.open() for _ in range(3)]
        for _, writer in held[:2]:
            writer.write(b"CONNECT example.org:443 HTTP/1.1\r\n\r\n")
        for reader, _ in held[:2]:
            await reader.readuntil(b"\r\n\r\n")
        flood = [await these.open() for _ in range(60)]
        ends = await asyncio.gather(*(reader.read() for reader, _ in flood), return_exceptions=True)
        async with asyncio.timeout(60):
            while cut_off(told := [note for note in these.notes if "cut off unread" in note.reason]) < 59:
                await asyncio.sleep(0.01)
        for _, writer in held + flood:
            writer.close()

    # One of them may find the place of the third, which is told why.
    assert sum(end == b"" or isinstance(end, ConnectionError) for end in ends) >= 59
    assert len(told) < 10
    assert not any(note.allowed for note in told)


async def test_one_sandbox_does_not_take_the_whole_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "LOOKUPS_AT_ONCE", 2)
    going, most, gate = 0, 0, asyncio.Event()

    async def slow(host: str, port: int) -> list[str]:
        nonlocal going, most
        going, most = going + 1, max(most, going + 1)
        await gate.wait()
        going -= 1
        return ["1.1.1.1"]

    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    these = Bench(listener.getsockname()[1], Reach(parse([{"name": "r", "hosts": ["*.example.org"]}])))

    async def reach() -> Reach:
        return these.reach

    async def nowhere(address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        raise ConnectionRefusedError

    running = EgressProxy(reach, these.notes.append, Told(these), lookup=slow, connect=nowhere)
    await running.serve(listener)
    asking = [asyncio.create_task(these.say(b"CONNECT a.example.org:443 HTTP/1.1\r\n\r\n")) for _ in range(6)]
    async with asyncio.timeout(60):
        while going < 2:
            await asyncio.sleep(0.01)
    gate.set()
    answers = await asyncio.gather(*asking)
    await running.close()

    assert most == 2
    assert all(b"did not answer" in answer for answer in answers)


async def test_a_silent_program_is_cut_but_a_long_download_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "IDLE_TIMEOUT_S", 2.0)

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(8):
            writer.write(b"x")
            await asyncio.sleep(0.3)
        # And then nothing, without closing.
        await asyncio.sleep(600)

    async with bench(drip, {"hosts": ["example.org"]}) as these:
        reader, writer = await these.open()
        writer.write(b"CONNECT example.org:443 HTTP/1.1\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        assert await asyncio.wait_for(reader.read(), 60) == b"xxxxxxxx"
        (note,) = await these.over()

    assert note.received == 8


async def test_closing_the_proxy_notes_what_was_open() -> None:
    async with bench(echo, {"hosts": ["example.org"]}) as these:
        reader, writer = await these.open()
        writer.write(b"CONNECT example.org:443 HTTP/1.1\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")

    assert [note.is_over for note in these.notes] == [False, True]
    writer.close()
