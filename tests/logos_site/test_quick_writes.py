"""Pieces of running responses over a real socket: whole, in order, and held back while nobody reads."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
PIECE = 100_000
PIECES = 400

# /fast streams 40 MB in pieces; /slow counts how many of them it could send before anybody read.
PROGRAM = f"""
import asyncio, sys
from logos_site.serving import Server

sent = 0

async def application(scope, receive, send):
    global sent
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    if scope["path"] == "/sent":
        await send({{"type": "http.response.body", "body": str(sent).encode(), "more_body": True}})
    else:
        sent = 0
        await send({{"type": "http.response.body", "body": b"", "more_body": True}})
        for number in range({PIECES}):
            await send({{"type": "http.response.body", "body": b"%06d" % number * ({PIECE} // 6), "more_body": True}})
            sent += 1
    await send({{"type": "http.response.body", "body": b""}})

class Nothing:
    async def start(self):
        print("ready", flush=True)
    async def stop(self): ...

Server(application, Nothing(), "127.0.0.1", int(sys.argv[1])).serve()
"""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    number = free_port()
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(number)], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield number
    process.kill()
    process.communicate()


def ask(port: int, path: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=120)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    return connection


def read_body(connection: socket.socket) -> bytes:
    with connection, connection.makefile("rb") as file:
        while file.readline() != b"\r\n":
            pass
        pieces = []
        while size := int(file.readline(), 16):
            pieces.append(file.read(size))
            file.readline()
        return b"".join(pieces)


def test_a_long_stream_arrives_whole_and_in_order(port: int) -> None:
    expected = b"".join(b"%06d" % number * (PIECE // 6) for number in range(PIECES))

    assert read_body(ask(port, "/fast")) == expected


def test_who_does_not_read_holds_the_application_back_and_gets_everything_later(port: int) -> None:
    slow = ask(port, "/slow")
    before = -1
    while (sent := int(read_body(ask(port, "/sent")))) != before:
        before = sent
        time.sleep(0.2)

    assert 0 < sent < PIECES // 2, "what is not read piles up in the server"
    assert len(read_body(slow)) == PIECES * (PIECE // 6 * 6)


def test_a_reader_that_goes_away_stops_nothing_else(port: int) -> None:
    for _ in range(5):
        ask(port, "/slow").close()

    assert len(read_body(ask(port, "/fast"))) == PIECES * (PIECE // 6 * 6)
