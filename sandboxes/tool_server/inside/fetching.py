"""One HTTP request through the sandbox's own proxy, inside; a redirect is told and not followed."""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import Any
from urllib.parse import SplitResult, urlsplit

from sandboxes.tool_server.inside.answers import Refused, Told, content

HEAD_MOST = 64 * 1024
SHOWN_HEADERS = 100


def fetch(
    proxy: list[Any], url: str, method: str, headers: dict[str, str], body: str | None, seconds: float, length: int
) -> Told:
    """Status, headers and the beginning of what the server answers."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    payload = body.encode() if body is not None else None
    try:
        with socket.create_connection(tuple(proxy), timeout=seconds) as raw:
            raw.settimeout(seconds)
            if parts.scheme == "https":
                tunnel(raw, host, port)
                secured = ssl.create_default_context().wrap_socket(raw, server_hostname=host)
                with secured:
                    return asked(secured, host, port, target(parts), method, headers, payload, length)
            where = f"http://{host}:{port}{target(parts)}"
            return asked(raw, host, port, where, method, headers, payload, length)
    except ssl.SSLCertVerificationError as error:
        raise Refused(f"The server's certificate does not hold: {error.verify_message}.", "certificate") from None
    except TimeoutError:
        raise Refused(f"It did not answer within {seconds:g} seconds.", "timeout") from None
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, ConnectionRefusedError):
            raise Refused(
                "The sandbox's proxy does not answer: nobody serves this sandbox right now.", "no_proxy"
            ) from None
        raise Refused(f"The connection failed: {error or type(error).__name__}.", "connection_failed") from None


def target(parts: SplitResult) -> str:
    """Path and question of an address."""
    path = parts.path or "/"
    return path + ("?" + parts.query if parts.query else "")


def tunnel(raw: socket.socket, host: str, port: int) -> None:
    """Ask the proxy for a connection."""
    raw.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        piece = raw.recv(1)  # byte by byte: what follows belongs to the server
        if not piece or len(head) > HEAD_MOST:
            raise Refused("The sandbox's proxy gave no answer.", "no_proxy")
        head += piece
    if b" 200 " not in head.split(b"\r\n", 1)[0] + b" ":
        why = b""
        while len(why) < 2000 and (piece := raw.recv(2000)):
            why += piece
        raise Refused(why.decode("utf-8", "replace").strip() or "The proxy refuses it.", "policy_denied")


def asked(
    channel: socket.socket,
    host: str,
    port: int,
    where: str,
    method: str,
    headers: dict[str, str],
    payload: bytes | None,
    length: int,
) -> Told:
    """Ask, and read the beginning of the answer."""
    connection = http.client.HTTPConnection(host, port)
    connection.sock = channel
    given = {name.lower() for name in headers}
    connection.putrequest(method, where, skip_host="host" in given, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value.encode("utf-8"))
    if payload is not None:
        connection.putheader("Content-Length", str(len(payload)))
    connection.putheader("Connection", "close")
    connection.endheaders(payload)
    response = connection.getresponse()
    raw = response.read(length)
    if response.getheader("X-Logos-Denied") == "1":
        raise Refused(raw.decode("utf-8", "replace").strip(), "policy_denied")
    shown = {name[:200]: value[:2000] for name, value in response.getheaders()[:SHOWN_HEADERS]}
    rest = b"" if method == "HEAD" else response.read(1)
    answer = {"status": response.status, "headers": shown, "bytes": len(raw), "is_cut": bool(rest), **content(raw)}
    return answer
