"""``mcp-bridge``: a client that only starts programs has everything the gateway has, and learns what went wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from agents.errors import Invalid
from mcp_gateway import eras
from mcp_gateway.book import Token, digest
from mcp_gateway.bridging.names import Names
from mcp_gateway.bridging.pipes import Lines, TooLong
from mcp_gateway.bridging.wire import endpoint
from tests.mcp_gateway.bridged import MANAGE, STARTING_S, Bridged, a_bridge, environment
from tests.mcp_gateway.gate import ATLAS, BRUNO, Gate, a_gate, modern, request, until

pytestmark = pytest.mark.sweep


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with a_gate() as gate:
        gate.add("files", max_argument=4 * 1024 * 1024, max_result=4 * 1024 * 1024)
        yield gate


async def greeted(bridge: Bridged) -> dict[str, Any]:
    """The answer to the handshake every client begins with."""
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    found = await bridge.ask(request("initialize", "hello", **hello))
    bridge.write({"jsonrpc": "2.0", "method": "notifications/initialized"})
    return found


async def test_a_client_has_the_hub_and_hears_when_it_gets_more(gate: Gate, tmp_path: Path) -> None:
    async with a_bridge(tmp_path, gate.url, MCP_AGENT="atlas") as bridge:
        assert (await greeted(bridge))["result"]["protocolVersion"] == "2025-06-18"
        names = [tool["name"] for tool in (await bridge.ask(request("tools/list")))["result"]["tools"]]
        assert {"request_mcp_access", "files__echo"} <= set(names)
        found = await bridge.call("files__echo", "grüße", text="grüße \u2028 \ud800 🙂\n")
        assert found["result"]["content"][0]["text"] == "grüße \u2028 \ud800 🙂\n"
        with_dots = await bridge.call("files.echo", text="dots")
        progress = request("tools/call", 7, name="files__test_tool_with_progress", _meta={"progressToken": "p"})
        await bridge.ask(progress)
        told = [each["params"]["progress"] for each in bridge.said if each.get("method") == "notifications/progress"]

        await until(lambda: gate.relay.listening._hubs, "it listens")
        gate.add("more")
        while (await bridge.next()).get("method") != "notifications/tools/list_changed":
            pass
        listed = await bridge.ask(request("tools/list", 9))
        code = await bridge.end()

    assert with_dots["result"]["content"][0]["text"] == "dots"
    assert told == [0, 50, 100]
    assert "more__echo" in [tool["name"] for tool in listed["result"]["tools"]]
    assert code == 0
    assert [each.tool for each in gate.records] == ["echo", "echo", "test_tool_with_progress"]


async def test_a_client_of_the_newer_era_is_understood_too(gate: Gate, tmp_path: Path) -> None:
    async with a_bridge(tmp_path, f"{gate.url}/files") as bridge:
        found = await bridge.ask(modern("server/discover")[0])
        await bridge.ask(modern("tools/list", 2)[0])
        mirrored = await bridge.ask(modern("tools/call", 3, name="test_x_mcp_header", arguments={"region": "Köln"})[0])
        unknown = await bridge.ask(modern("no/such", 4)[0])

    assert found["result"]["supportedVersions"] == [eras.MODERN]
    assert mirrored["result"]["content"][0]["text"] == "Köln"
    assert unknown["error"]["code"] == -32601


async def test_what_a_client_takes_back_is_cancelled_at_the_server(gate: Gate, tmp_path: Path) -> None:
    async with a_bridge(tmp_path, f"{gate.url}/files") as bridge:
        bridge.write(request("tools/call", 5, name="slow", arguments={"seconds": 600}))
        await until(lambda: gate.relay.carrier._open, "it is under way")
        bridge.write({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}})
        await until(lambda: gate.records, "it has ended")
        found = await bridge.call("echo", text="still there")

    assert gate.records[0].outcome == "cancelled"
    assert found["result"]["content"][0]["text"] == "still there"
    assert [each["id"] for each in bridge.said] == ["call"]


@pytest.mark.parametrize(
    ("environ", "code", "words"),
    [
        ({"token": "wrong"}, 10, "Show the token of an agent"),
        ({"token": ""}, 10, "MCP_TOKEN"),
        ({"token": "grüße"}, 10, "MCP_TOKEN"),
        ({"token": "", "MCP_TOKEN_FILE": "/nowhere"}, 10, "MCP_TOKEN_FILE"),
        ({"MCP_AGENT": "bruno"}, 10, "that of atlas, not of bruno"),
        ({"url": "{url}/secret"}, 10, "no access"),
        ({"url": "http://127.0.0.1:1/mcp"}, 11, "cannot be reached"),
        ({"url": "{url}/files/deeper"}, 11, ""),
        ({"url": "ftp://x"}, 1, "MCP_URL"),
        ({"url": "http://me:secret@x/mcp"}, 1, "MCP_URL"),
    ],
)
async def test_exit_codes_say_what_is_wrong(
    gate: Gate, tmp_path: Path, environ: dict[str, str], code: int, words: str
) -> None:
    url = environ.pop("url", "{url}").format(url=gate.url)
    async with a_bridge(tmp_path, url, **environ) as bridge:
        found = await asyncio.wait_for(bridge.process.wait(), STARTING_S)
        assert bridge.process.stdout is not None
        written, errors = await bridge.process.stdout.read(), await bridge.errors()

    assert (found, written) == (code, b"")
    assert words in errors
    assert "Traceback" not in errors
    assert ATLAS not in errors
    assert "secret@" not in errors


@contextlib.asynccontextmanager
async def a_stranger(answer: Callable[[asyncio.StreamWriter], Any]) -> AsyncIterator[str]:
    """Something that is no gateway."""
    writers: list[asyncio.StreamWriter] = []

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readline()
        answer(writer)

    listener = socket.create_server(("127.0.0.1", 0))
    server = await asyncio.start_server(meet, sock=listener)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    finally:
        server.close()
        for writer in writers:
            writer.close()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "says nothing"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {", "says nothing"),
        (b"HTTP/1.1 502 Bad\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nno", "no MCP gateway (status 502)"),
        (b"HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "(status 302)"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]", "no MCP gateway"),
        (b"nonsense\r\n\r\n", "cannot be reached"),
    ],
)
async def test_what_is_no_gateway_or_hangs_ends_the_bridge(tmp_path: Path, answer: bytes, words: str) -> None:
    silence = "1" if words == "says nothing" else "60"
    async with (
        a_stranger(lambda writer: writer.write(answer)) as url,
        a_bridge(tmp_path, url, "--silence", silence) as bridge,
    ):
        code = await asyncio.wait_for(bridge.process.wait(), STARTING_S)
        errors = await bridge.errors()

    assert code == 11
    assert words in errors


async def test_a_gateway_that_goes_away_costs_an_answer_and_not_the_bridge(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(a_gate())
        supervisor = first.add("files")
        bridge = await stack.enter_async_context(a_bridge(tmp_path, f"{first.url}/files", "--silence", "8"))
        await bridge.call("echo")
        bridge.write(request("tools/call", 5, name="slow", arguments={"seconds": 600}))
        await until(lambda: first.relay.carrier._open, "it is under way")
        answering = first.relay.answer
        first.relay.answer = lambda *words: asyncio.Event().wait()  # type: ignore[assignment,method-assign]
        hung = await bridge.call("echo", "hung")
        first.relay.answer = answering  # type: ignore[method-assign]
        again = await bridge.call("echo", "again", text="back")
        await supervisor.stop()

    assert hung["result"]["isError"]
    assert "says nothing" in hung["result"]["content"][0]["text"]
    assert again["result"]["content"][0]["text"] == "back"


async def test_a_token_that_is_revoked_answers_everybody_and_ends_the_bridge(gate: Gate, tmp_path: Path) -> None:
    async with a_bridge(tmp_path, f"{gate.url}/files") as bridge:
        await bridge.call("echo")
        bridge.write(request("tools/call", 5, name="slow", arguments={"seconds": 600}))
        await until(lambda: gate.relay.carrier._open, "it is under way")
        gate.rewrite(tokens={digest(BRUNO): Token(2, "agent_bruno")})
        bridge.write(request("tools/list", 6))
        answers = {(found := await bridge.next())["id"]: found for _ in range(2)}
        code = await asyncio.wait_for(bridge.process.wait(), STARTING_S)

    assert code == 10
    assert "does not accept the token" in answers[6]["error"]["message"]
    assert answers[5]["result"]["isError"]


async def test_lines_that_are_no_message_are_answered_and_the_bridge_goes_on(gate: Gate, tmp_path: Path) -> None:
    long = json.dumps(request("tools/call", 77, name="echo", arguments={"text": "x" * 20_000_000})).encode()
    async with a_bridge(tmp_path, f"{gate.url}/files") as bridge:
        for line in (b"nonsense\n", b"\n  \n", b"[]\n", b'{"jsonrpc": "2.0", "id": 3, "method": 4}\n', long + b"\n"):
            bridge.write(line)
        codes = [(each.get("id"), each["error"]["code"]) for each in [await bridge.next() for _ in range(4)]]
        found = await bridge.call("echo", text="y" * 3_000_000)
        bridge.write(b'{"jsonrpc": "2.0", "id": "last", "method": "ping"}')  # and no newline
        code = await bridge.end()
        last = await bridge.next()

    assert codes == [(None, -32700), (None, -32600), (3, -32600), (77, -32002)]
    assert len(found["result"]["content"][0]["text"]) == 3_000_000
    assert (last["id"], code) == ("last", 0)


async def test_input_from_a_file_is_answered_whole(gate: Gate, tmp_path: Path) -> None:
    script = tmp_path / "messages"
    script.write_text("".join(json.dumps(request("tools/call", n, name="echo")) + "\n" for n in range(40)))
    out = tmp_path / "answers"
    with script.open() as stdin, out.open("w") as stdout:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(MANAGE), "mcp-bridge"),
            env=environment(tmp_path, f"{gate.url}/files"), stdin=stdin, stdout=stdout,
        )  # fmt: skip
        assert await asyncio.wait_for(process.wait(), STARTING_S) == 0

    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(each["id"] for each in found) == list(range(40))


def test_names_are_mapped_both_ways() -> None:
    names = Names()
    tools = [{"name": name} for name in ("a.b", "a_b", "c.d", "c/d", "plain", "x" * 70, "ö")]
    shown = [tool["name"] for tool in names.learn(tools)]

    assert shown[1:3] == ["a_b", "c_d"]
    assert shown[0].startswith("a_b_")
    assert shown[3].startswith("c_d_")
    assert len(set(shown)) == len(tools)
    assert all(len(name) <= 64 for name in shown)
    assert [names.real(name) for name in shown] == [tool["name"] for tool in tools]
    assert [names.real(name) for name in ("a.b", "c.d", "pla.in", "plain")] == ["a.b", "c.d", None, "plain"]
    names.learn([{"name": "files__read"}, {"name": "a_b"}])
    assert [names.real(name) for name in ("files.read", "a.b", "c.d")] == ["files__read", "a_b", None]
    assert names.learn([{"name": 3}, {}, {"name": "ok"}]) == [{"name": "ok"}]  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("given", "url", "hub"),
    [
        ("https://logos.example", "https://logos.example/mcp", "https://logos.example/mcp"),
        ("http://x:8000/mcp/", "http://x:8000/mcp", "http://x:8000/mcp"),
        ("http://x/mcp/mcp-tools", "http://x/mcp/mcp-tools", "http://x/mcp"),
        ("http://x/mcp-site", "http://x/mcp-site/mcp", "http://x/mcp-site/mcp"),
        (" http://[::1]:9/logos/mcp/files ", "http://[::1]:9/logos/mcp/files", "http://[::1]:9/logos/mcp"),
    ],
)
def test_addresses_as_people_write_them(given: str, url: str, hub: str) -> None:
    assert endpoint(given) == (url, hub)


@pytest.mark.parametrize("given", ["", "logos.example", "file:///etc/passwd", "http://", "http://a@b/", "http://[::1/"])
def test_what_is_no_address(given: str) -> None:
    with pytest.raises(Invalid):
        endpoint(given)


async def test_a_long_line_names_its_message_wherever_the_id_stands() -> None:
    reading, writing = os.pipe()
    lines = Lines(reading, longest=1_000)
    lines.start()
    pad = b"x" * 100_000

    async def write() -> None:
        data = b'{"id": "a\\"b", "p": "' + pad + b'"}\n{"p": "' + pad + b'", "id": 9}\n' + pad + b'\n{"id": 1}'
        await asyncio.to_thread(os.write, writing, data[:60_000])
        await asyncio.to_thread(
            lambda: [os.write(writing, data[at : at + 60_000]) for at in range(60_000, len(data), 60_000)]
        )
        os.close(writing)

    task = asyncio.ensure_future(write())
    found = [await lines.next() for _ in range(5)]
    await task
    os.close(reading)

    assert found == [TooLong('a"b'), TooLong(9), TooLong(None), b'{"id": 1}', None]
