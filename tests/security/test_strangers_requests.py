"""A stranger sends more than anybody may, or says where the site lies."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.logos_site.test_serve import Serve, migrated_home

__all__ = ["migrated_home"]

MEGABYTE = b"x" * (1 << 20)


@pytest.fixture(scope="module")
def logos(migrated_home: Path) -> Iterator[Serve]:
    serve = Serve(migrated_home, {"PATH": "/usr/bin:/bin"})
    serve.until("The engine is running")
    yield serve
    serve.process.kill()
    serve.process.communicate()


def answer(connection: socket.socket) -> bytes:
    connection.settimeout(10)
    said = b""
    while data := connection.recv(4096):
        said += data
    return said


def asking(logos: Serve, *headers: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", logos.port))
    head = ["POST /api/conversations HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers]
    connection.sendall("\r\n".join([*head, "", ""]).encode())
    return connection


def test_a_body_announced_too_long_is_refused_before_it_is_sent(logos: Serve) -> None:
    with asking(logos, "Content-Length: 10000000000") as connection:
        said = answer(connection)
    assert said.startswith(b"HTTP/1.1 413 ")
    assert b'"reason": "too_large"' in said


def test_a_body_without_an_announced_length_is_cut_and_not_kept(logos: Serve) -> None:
    before = psutil.Process(logos.process.pid).memory_info().rss
    # Cut sooner or later, which is fine.
    with asking(logos, "Transfer-Encoding: chunked") as connection, contextlib.suppress(OSError):
        for _ in range(100):
            connection.sendall(b"100000\r\n" + MEGABYTE + b"\r\n")
    assert psutil.Process(logos.process.pid).memory_info().rss - before < 40 << 20
    assert logos.get("/healthz").status == 200


def test_a_long_body_that_views_refuse_themselves_is_refused_in_their_words(logos: Serve) -> None:
    with asking(logos, "Content-Length: 3000000", "Connection: close", "Authorization: Bearer nobody") as connection:
        connection.sendall(b"x" * 3_000_000)
        assert answer(connection).startswith(b"HTTP/1.1 401 ")


def test_nobody_can_say_from_outside_where_the_site_lies(logos: Serve) -> None:
    with socket.create_connection(("127.0.0.1", logos.port)) as connection:
        request = (
            b"GET /admin/ HTTP/1.1\r\nHost: localhost\r\nDaphne-Root-Path: /elsewhere\r\nConnection: close\r\n\r\n"
        )
        connection.sendall(request)
        said = answer(connection)
    assert b"\r\nLocation: /admin/login/" in said
    assert b"elsewhere" not in said
