"""One port for pages and MCP: each connection has one parser at a time, and everything is answered by whom it is for."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from logos_site.parting import LONGEST_HEAD, LONGEST_LINE, asks_for_mcp
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60
LARGE = 30_000_000

# Daphne says who it is in its answers; what has no such header was answered by the gateway's own server.
PROGRAM = f"""
import json, sys
from types import SimpleNamespace
import django
django.setup()
from logos_site.serving import Server
from mcp_gateway import door, gateway, site_port
from mcp_gateway.exchange import read_body

class Relay:
    async def answer(self, caller, target, scope, receive, send):
        body = await read_body(receive, None)
        told = json.dumps([target, len(body), scope["client"][0]]).encode()
        if target == "large":
            told = b"x" * {LARGE}
        await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(told))]}})
        for at in range(0, len(told), 100_000):
            await send({{"type": "http.response.body", "body": told[at:at + 100_000], "more_body": True}})
        await send({{"type": "http.response.body", "body": b""}})

async def application(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({{"type": "websocket.close"}})
    elif door.is_ours(scope["path"]):
        await gateway.application(scope, receive, send)
    else:
        body = await read_body(receive, None)
        told = json.dumps([scope["path"], len(body), scope["client"][0]]).encode()
        await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(told))]}})
        await send({{"type": "http.response.body", "body": told}})

class Engine:
    async def start(self):
        site_port.Guarded.most = 8
        public = door.Door(Relay(), lambda secret: secret == "known" or None, lambda: ["logos.example"])
        self.site = site_port.SitePort()
        await self.site.open(public)
        gateway._current = SimpleNamespace(site_port=self.site, public=public)
        print("ready", flush=True)
    async def stop(self):
        await self.site.close()

Server(application, Engine(), "127.0.0.1", int(sys.argv[1]), mcp=gateway.connection).serve()
"""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    number = free_port()
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(number)], cwd=ROOT, env=environment, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield number
    process.kill()
    process.communicate()


class Wire:
    """A connection, byte by byte."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self._file = self.socket.makefile("rb")

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.socket.sendall(piece)

    def answer(self) -> tuple[int, bytes, str]:
        """Status, body, and who answered; (0, b"", "") once it is closed."""
        line = self._file.readline()
        if not line:
            return 0, b"", ""
        headers = {}
        while (header := self._file.readline().strip()) != b"":
            name, _, value = header.partition(b":")
            headers[name.lower()] = value.strip()
        body = self._file.read(int(headers.get(b"content-length", 0)))
        return int(line.split()[1]), body, "pages" if headers.get(b"server") == b"logos" else "mcp"

    def close(self) -> None:
        self._file.close()
        self.socket.close()


@pytest.fixture
def wire(port: int) -> Iterator[Wire]:
    found = Wire(port)
    yield found
    found.close()


def call(target: str = "files", body: bytes = b"{}", version: str = "1.1", **headers: str) -> bytes:
    """A POST to the gateway."""
    said = {"Host": "localhost", "Authorization": "Bearer known", "Content-Type": "application/json"}
    said |= {name.replace("_", "-"): value for name, value in headers.items()} | {"Content-Length": str(len(body))}
    lines = [f"POST /mcp/{target} HTTP/{version}", *(f"{name}: {value}" for name, value in said.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def page(path: str = "/agents/", *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


@pytest.mark.parametrize(
    ("begin", "asks"),
    [
        (b"POST /mcp HTTP/1.1\r\n\r\n", True),
        (b"POST /mcp/files HTTP/1.1\r\nHost: x\r\n\r\nupgrade: of a body", True),
        (b"POST /mcp?x=/y HTTP/1.1\r\nX-Upgrade: y\r\n\r\n", True),
        (b"GET /mcp HTTP/1.1\r\nHost: x\r\n\r\n", True),
        (b"DELETE /mcp HTTP/1.1\r\nHost: x\r\n\r\n", True),
        (b"POST /mcp HTTP/1.1\r\nHost: x\r\n", None),
        (b"POST /mcp HTTP/1.1\r\nHost: x\r\nUPGRADE: h2c\r\n\r\n", False),
        (b"POST /mcp HTTP/1.1\r\nUpgrade : h2c\r\n\r\n", False),
        (b"POST /mcp HTTP/1.1\r\nX: " + b"x" * LONGEST_HEAD, False),
        (b"", None),
        (b"P", None),
        (b"POST /mcp HTTP/1.1\r", None),
        (b"\x16\x03\x01", None),
        (b"GET / HTTP/1.1\r\n", False),
        (b"POST /mcp HTTP/1.0\r\n", False),
        (b"POST /mcp\r\n", False),
        (b"POST /mcpx HTTP/1.1\r\n", False),
        (b"POST /mcp.php HTTP/1.1\r\n", False),
        (b"POST //mcp HTTP/1.1\r\n", False),
        (b"POST /%6dcp HTTP/1.1\r\n", False),
        (b"POST http://localhost/mcp HTTP/1.1\r\n", False),
        (b"POST  /mcp HTTP/1.1\r\n", False),
        (b"POST /mcp/a b HTTP/1.1\r\n", False),
        (b"POST /mcp/\xff HTTP/1.1\r\n", False),
        (b"POST /mcp HTTP/1.1\n", False),
        (b"post /mcp HTTP/1.1\r\n", False),
        (b"OPTIONS /mcp HTTP/1.1\r\n", False),
        (b"PRI * HTTP/2.0\r\n", False),
        (b"\r\nPOST /mcp HTTP/1.1\r\n", False),
        (b"POST /mcp/" + b"x" * LONGEST_LINE, False),
        (b"x" * (LONGEST_LINE - 1), None),
    ],
)
def test_the_first_line_tells_who_answers(begin: bytes, asks: bool | None) -> None:
    assert asks_for_mcp(begin) is asks


def test_each_is_answered_by_whom_it_is_for(wire: Wire) -> None:
    wire.send(call())
    assert wire.answer() == (200, b'["files", 2, "127.0.0.1"]', "mcp")
    wire.send(call(body=b"x" * 300_000))
    assert wire.answer() == (200, b'["files", 300000, "127.0.0.1"]', "mcp")

    wire.send(page())
    assert wire.answer() == (200, b'["/agents/", 0, "127.0.0.1"]', "pages")
    wire.send(call())
    assert wire.answer() == (200, b'["files", 2, "127.0.0.1"]', "pages")
    wire.send(page("/mcpx"))
    assert wire.answer() == (200, b'["/mcpx", 0, "127.0.0.1"]', "pages")


def test_what_comes_byte_by_byte_is_answered_the_same(wire: Wire) -> None:
    for asked, who in ((call(), "mcp"), (call(), "mcp"), (page(), "pages")):
        wire.send(*(asked[at : at + 1] for at in range(len(asked))))
        assert wire.answer()[::2] == (200, who)


def test_what_an_older_client_asks_is_answered_whole(wire: Wire) -> None:
    wire.send(call(version="1.0"))

    assert wire.answer() == (200, b'["files", 2, "127.0.0.1"]', "pages")
    assert wire.answer() == (0, b"", "")


def test_calls_sent_in_a_row_are_answered_in_a_row(wire: Wire) -> None:
    wire.send(call("one") + call("two") + call("three"))

    assert [wire.answer()[1][2:5] for _ in range(3)] == [b"one", b"two", b"thr"]


def test_a_page_asked_for_before_a_call_was_answered_is_to_be_asked_for_again(port: int, wire: Wire) -> None:
    wire.send(call() + page() + call("never"))

    assert wire.answer() == (200, b'["files", 2, "127.0.0.1"]', "mcp")
    status, told, _ = wire.answer()
    assert (status, b"another connection" in told) == (421, True)
    assert wire.answer() == (0, b"", "")


def test_a_body_is_a_body_whatever_it_looks_like(wire: Wire) -> None:
    """Bytes that one parser takes for a body are shown to no other."""
    wire.send(call(body=page("/admin/")))
    assert wire.answer()[::2] == (200, "mcp")
    wire.send(call(body=page("/admin/"), Transfer_Encoding="chunked"))

    assert wire.answer()[::2] == (400, "mcp")
    assert wire.answer() == (0, b"", "")


def test_a_body_that_nobody_wanted_is_not_taken_for_the_next_request(wire: Wire) -> None:
    head, body = call(Authorization="", body=page("/admin/")).split(b"\r\n\r\n", 1)
    wire.send(head + b"\r\n\r\n")
    assert wire.answer()[::2] == (401, "mcp")

    wire.send(body, page("/agents/"))

    assert wire.answer()[1:] == (b'["/agents/", 0, "127.0.0.1"]', "pages")


def test_a_terminal_may_come_after_a_call(wire: Wire) -> None:
    wire.send(call())
    assert wire.answer()[0] == 200

    key = "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg=="
    wire.send(page("/x", "Connection: Upgrade", "Upgrade: websocket", key, "Sec-WebSocket-Version: 13"))

    assert wire.answer()[0] == 403  # the closing of a websocket that was never accepted


def test_a_client_that_offers_a_newer_protocol_is_answered_in_this_one(wire: Wire) -> None:
    wire.send(call())
    assert wire.answer() == (200, b'["files", 2, "127.0.0.1"]', "mcp")
    wire.send(call(Connection="Upgrade, HTTP2-Settings", Upgrade="h2c", HTTP2_Settings="AAMAAABkAAQCAAAAAAIAAAAA"))
    assert wire.answer() == (200, b'["files", 2, "127.0.0.1"]', "pages")


def test_a_client_that_asks_first_is_told_to_go_on(wire: Wire) -> None:
    head, body = call(Expect="100-continue").split(b"\r\n\r\n", 1)
    wire.send(head + b"\r\n\r\n")
    assert wire.answer()[0] == 100
    wire.send(body)

    assert wire.answer()[::2] == (200, "mcp")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example@localhost"}, 403),
        ({"Host": "LOCALHOST.:80"}, 200),
        ({"Host": "logos.example", "Origin": "https://logos.example"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Authorization": ""}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Content_Type": "text/plain"}, 415),
        ({"host": "localhost"}, 400),
        ({"AUTHORIZATION": "Bearer known"}, 400),
    ],
)
def test_the_door_is_the_same_for_both(port: int, headers: dict[str, str], status: int) -> None:
    told = []
    for first in (b"", page()):
        with contextlib.closing(Wire(port)) as wire:
            if first:
                wire.send(first)
                wire.answer()
            wire.send(call(**headers))
            told.append(wire.answer())

    assert [each[2] for each in told] == ["mcp", "pages"]
    assert told[0][:2] == told[1][:2]
    assert told[0][0] == status


@pytest.mark.parametrize("asked", ["GET /mcp", "DELETE /mcp/files"])
def test_there_are_no_streams_to_open_or_sessions_to_end(wire: Wire, asked: str) -> None:
    wire.send(f"{asked} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    assert wire.answer()[::2] == (405, "mcp")


def test_many_who_say_nothing_keep_nobody_from_an_answer(port: int) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(300):
            slow = stack.enter_context(contextlib.closing(Wire(port)))
            slow.send([b"", b"P", b"POST /mcp HTT", b"GET /"][number % 4])
        for asked in (call(), page()):
            wire = stack.enter_context(contextlib.closing(Wire(port)))
            wire.send(asked)
            assert wire.answer()[0] == 200
        slow.send(b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert slow.answer()[::2] == (200, "pages")


def test_more_than_the_gateways_server_takes_are_answered_by_the_other(port: int) -> None:
    with contextlib.ExitStack() as stack:
        told = []
        for _ in range(12):
            wire = stack.enter_context(contextlib.closing(Wire(port)))
            wire.send(call())
            told.append(wire.answer()[::2])

    assert {status for status, _ in told} == {200}
    assert told[0] == (200, "mcp")
    assert told[-1] == (200, "pages")


def test_a_large_answer_waits_for_its_reader_and_comes_whole(port: int, wire: Wire) -> None:
    wire.send(call("large"))
    with contextlib.closing(Wire(port)) as other:
        other.send(call())
        assert other.answer()[0] == 200

    status, body, who = wire.answer()
    assert (status, len(body), who) == (200, LARGE, "mcp")
    wire.send(page())
    assert wire.answer()[::2] == (200, "pages")
