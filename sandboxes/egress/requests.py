"""Read what a program asks of the proxy, strictly: one spelling of everything, and a refusal for the rest. Pure.

A lenient proxy is a hole: what it reads one way the server behind it may read another way. So there is one form of
CONNECT and one of plain HTTP, header lines without folding or stray characters, and one way to say how long a body is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agents import hosts
from agents.errors import Invalid

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 200

_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) ([\x21-\x7e]{1,16384}) HTTP/1\.[01]\Z")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*\Z")
_AUTHORITY = re.compile(r"([^:@/\[\]?#\\]+):([0-9]{1,5})\Z")
_ABSOLUTE = re.compile(r"http://([^:/@?#\[\]\\]+)(?::([0-9]{1,5}))?(/[^#\\]*)?\Z")
_LENGTH = re.compile(r"[0-9]{1,15}\Z")

# Of one connection only (RFC 9110, 7.6.1), or meant for the proxy; none of them goes on.
_HOP_BY_HOP = frozenset(
    (
        *("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "host"),
        *("proxy-authorization", "proxy-authenticate", "proxy-connection", "proxy-authentication-info"),
    )
)


class Malformed(Exception):
    """The request is refused before anything is decided; the text says what was wrong with it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a program wants: a tunnel (CONNECT) or one plain HTTP request to ``path``.

    ``host`` is canonical. ``body`` is the number of bytes that follow, -1 when they come in chunks."""

    method: str
    host: str
    port: int
    is_tunnel: bool
    path: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: int = 0

    def forwarded(self) -> bytes:
        """The head that goes to the server: its Host from the target, nothing that was for the proxy, and no
        second request on the same connection."""
        host = self.host if self.port == 80 else f"{self.host}:{self.port}"
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines += ["Transfer-Encoding: chunked"] if self.body < 0 else []
        return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1")


def read_head(head: bytes) -> Asked:
    """What the bytes up to and with the empty line ask for. Raises Malformed."""
    if not head.endswith(b"\r\n\r\n") or len(head) > MAX_HEAD_BYTES:
        raise Malformed("The head of the request has no end or is too long.")
    first, *rest = head[:-4].split(b"\r\n")
    if (line := _REQUEST_LINE.match(first)) is None:
        raise Malformed("The first line is no HTTP/1 request.")
    method, target = line[1].decode(), line[2].decode()
    headers = _headers(rest)
    if method == "CONNECT":
        host, port = _target(_AUTHORITY.match(target))
        return Asked(method, host, port, is_tunnel=True)
    found = _ABSOLUTE.match(target)
    host, port = _target(found)
    kept = tuple((name, value) for name, value in headers if name.lower() not in _dropped(headers))
    path = (found[3] if found else "") or "/"
    return Asked(method, host, port, is_tunnel=False, path=path, headers=kept, body=_body(headers))


def _headers(lines: list[bytes]) -> list[tuple[str, str]]:
    if len(lines) > MAX_HEADERS:
        raise Malformed("It has too many headers.")
    found = []
    for line in lines:
        if (header := _HEADER.match(line)) is None:
            raise Malformed("A header is not written as it must be.")
        found.append((header[1].decode(), header[2].decode("latin-1")))
    return found


def _target(found: re.Match[str] | None) -> tuple[str, int]:
    if found is None:
        raise Malformed("The target is neither HOST:PORT for CONNECT nor http://HOST/… .")
    port = int(found[2] or 80)
    if not 1 <= port <= 65_535:
        raise Malformed("There is no such port.")
    try:
        return hosts.canonical(found[1]), port
    except Invalid as error:
        raise Malformed(error.message) from error


def _body(headers: list[tuple[str, str]]) -> int:
    lengths = [value for name, value in headers if name.lower() == "content-length"]
    codings = [value.lower() for name, value in headers if name.lower() == "transfer-encoding"]
    if codings == ["chunked"] and not lengths:
        return -1
    if codings or len(lengths) > 1 or (lengths and not _LENGTH.match(lengths[0])):
        raise Malformed("How long the body is can be read in two ways.")
    return int(lengths[0]) if lengths else 0


def _dropped(headers: list[tuple[str, str]]) -> frozenset[str]:
    """Those of one connection, and whatever the request itself says is of this connection only. What says how long
    the body is stays, whatever it says."""
    named = {
        word.strip().lower() for name, value in headers if name.lower() == "connection" for word in value.split(",")
    }
    return _HOP_BY_HOP | (named - {"content-length"})
