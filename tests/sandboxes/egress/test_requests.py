"""What a program may ask of the proxy: one form of each request, and a refusal for every other spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import hosts
from sandboxes.egress.requests import MAX_HEAD_BYTES, MAX_HEADERS, Malformed, read_head


def head(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def test_a_tunnel_names_its_host_and_port() -> None:
    asked = read_head(head("CONNECT Example.org:443 HTTP/1.1", "Host: elsewhere.example:1"))

    assert (asked.is_tunnel, asked.host, asked.port) == (True, "example.org", 443)


@pytest.mark.parametrize(
    ("target", "host", "port", "path"),
    [
        ("http://example.org", "example.org", 80, "/"),
        ("http://example.org/a?b=c", "example.org", 80, "/a?b=c"),
        ("http://example.org:8080/", "example.org", 8080, "/"),
    ],
)
def test_a_plain_request_names_host_port_and_path(target: str, host: str, port: int, path: str) -> None:
    asked = read_head(head(f"GET {target} HTTP/1.1"))

    assert (asked.is_tunnel, asked.host, asked.port, asked.path) == (False, host, port, path)


@pytest.mark.parametrize(
    "line",
    [
        *("CONNECT example.org HTTP/1.1", "CONNECT example.org:0 HTTP/1.1", "CONNECT example.org:65536 HTTP/1.1"),
        *("CONNECT 127.0.0.1:443 HTTP/1.1", "CONNECT [::1]:443 HTTP/1.1", "CONNECT user@example.org:443 HTTP/1.1"),
        *("CONNECT example.org:443:80 HTTP/1.1", "CONNECT example.org:+443 HTTP/1.1", "CONNECT :443 HTTP/1.1"),
        *("CONNECT http://example.org:443 HTTP/1.1", "CONNECT example.org\x00.evil:443 HTTP/1.1"),
        *("GET / HTTP/1.1", "GET https://example.org/ HTTP/1.1", "GET ftp://example.org/ HTTP/1.1"),
        *("GET http://user:pw@example.org/ HTTP/1.1", "GET http://example.org\\@evil.example/ HTTP/1.1"),
        *("GET http://example.org#@evil.example/ HTTP/1.1", "GET http://[::1]/ HTTP/1.1", "GET http:///x HTTP/1.1"),
        *("GET http://2130706433/ HTTP/1.1", "GET http://0x7f.1/ HTTP/1.1", "GET http://ex%61mple.org/ HTTP/1.1"),
        *("GET http://example.org/a b HTTP/1.1", "GET http://example.org/ HTTP/2", "GET http://example.org/"),
        *("get http://example.org/ HTTP/1.1", " GET http://example.org/ HTTP/1.1", "GET  http://example.org/ HTTP/1.1"),
        *("GET\thttp://example.org/ HTTP/1.1", "GET http://example.org/ HTTP/1.1 ", "", "\x16\x03\x01"),
    ],
)
def test_every_other_first_line_is_refused(line: str) -> None:
    with pytest.raises(Malformed):
        read_head(head(line))


@pytest.mark.parametrize(
    "header",
    [
        *("no colon", ": empty name", "Na me: x", "Name : x", " folded: x", "\tfolded", "X: a\x00b", "X: a\nY: b"),
        *("X: a\rY: b", "Ünicode: x", "X\x7f: x"),
    ],
)
def test_a_header_that_two_readers_may_read_differently_is_refused(header: str) -> None:
    with pytest.raises(Malformed):
        read_head(head("GET http://example.org/ HTTP/1.1", header))


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 3", "Content-Length: 3"),
        ("Content-Length: 3, 3",),
        ("Content-Length: +3",),
        ("Content-Length: -1",),
        ("Content-Length: 0x3",),
        ("Content-Length: ",),
        ("Transfer-Encoding: chunked", "Content-Length: 3"),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: identity",),
        ("Transfer-Encoding: \x0bchunked",),
    ],
)
def test_a_body_whose_length_can_be_read_in_two_ways_is_refused(headers: tuple[str, ...]) -> None:
    with pytest.raises(Malformed):
        read_head(head("POST http://example.org/ HTTP/1.1", *headers))


def test_what_goes_on_has_the_host_of_the_target_and_nothing_meant_for_the_proxy() -> None:
    asked = read_head(
        head(
            "POST http://example.org:8080/x HTTP/1.0",
            "Host: evil.example",
            "HOST: evil2.example",
            "Proxy-Authorization: Basic c2VjcmV0",
            "Connection: X-Drop, keep-alive, Content-Length",
            "X-Drop: 1",
            "Upgrade: websocket",
            "Accept:  text/plain ",
            "Content-Length: 5",
        )
    )

    assert asked.forwarded().decode() == (
        "POST /x HTTP/1.1\r\nHost: example.org:8080\r\nAccept: text/plain\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
    )
    assert asked.body == 5


def test_a_body_in_chunks_is_said_to_be_one() -> None:
    asked = read_head(head("POST http://example.org/ HTTP/1.1", "Transfer-Encoding: Chunked"))

    assert asked.body == -1
    assert asked.forwarded().count(b"Transfer-Encoding: chunked") == 1


def test_too_much_is_refused() -> None:
    with pytest.raises(Malformed):
        read_head(head("GET http://example.org/ HTTP/1.1", *["X: y"] * (MAX_HEADERS + 1)))
    with pytest.raises(Malformed):
        read_head(head("GET http://example.org/ HTTP/1.1", f"X: {'y' * MAX_HEAD_BYTES}"))
    with pytest.raises(Malformed):
        read_head(b"GET http://example.org/ HTTP/1.1\r\n")


@given(st.binary(max_size=200))
def test_whatever_arrives_is_read_as_a_plain_name_or_refused(noise: bytes) -> None:
    for data in (noise + b"\r\n\r\n", b"CONNECT " + noise + b":443 HTTP/1.1\r\n\r\n"):
        try:
            asked = read_head(data)
        except Malformed:
            continue
        assert hosts.canonical(asked.host) == asked.host
