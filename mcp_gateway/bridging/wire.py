"""The bridge's side towards Logos: one POST a message, the answers as they come, and what goes wrong in three words."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from agents.errors import Invalid
from mcp_gateway import jsonrpc
from mcp_gateway.jsonrpc import Message

CONNECT_S = 10.0
# One answer of a server has 16 MB at most; what stands around it is small.
MAX_ANSWER = 20 * 1024 * 1024
_PLACE = re.compile(r"(.*?/mcp)(?:/[^/]+)?")


class Unreachable(Exception):
    """Nothing answers there, or not as the gateway does; the text says how."""


class Denied(Exception):
    """The token opens nothing; the text is the gateway's."""


class Wire:
    """Use as a context manager. ``silence_s``: a gateway that says nothing for so long hangs: it tells that it waits."""

    def __init__(self, url: str, token: str, silence_s: float) -> None:
        self.url, self.hub = endpoint(url)
        self._token, self._silence_s = token, silence_s
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Wire:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=self._silence_s)
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout)
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._http is not None:
            await self._http.close()

    async def ask(
        self, body: bytes, headers: Mapping[str, str] | None = None, *, url: str = ""
    ) -> AsyncGenerator[Message, None]:
        """Every message of the answer to one message. Raises Unreachable, Denied."""
        usual = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        }
        if self._http is None:
            raise Unreachable("The connection is closed.")
        try:
            async with self._http.post(
                url or self.url, data=body, headers={**usual, **(headers or {})}, allow_redirects=False
            ) as answer:
                async for message in _messages(answer):
                    yield message
        except TimeoutError as error:
            raise Unreachable(f"{self.url} says nothing.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{self.url} cannot be reached ({_plain(error)}).") from error


def endpoint(url: str) -> tuple[str, str]:
    """The gateway's address and that of its hub, from one of the site, the gateway or a server. Raises Invalid."""
    try:
        parts = urlsplit(url.strip())
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        is_good = False
    if not is_good:
        raise Invalid("An address is like https://logos.example/mcp, without a name or password in it.")
    path = parts.path.rstrip("/")
    found = _PLACE.fullmatch(path)
    hub = found[1] if found else f"{path}/mcp"
    site = f"{parts.scheme}://{parts.netloc}"
    return site + (path if found else hub), site + hub


async def _messages(answer: aiohttp.ClientResponse) -> AsyncGenerator[Message, None]:
    if answer.status == 401:
        raise Denied(_said(await _whole(answer)) or "The token is not accepted.")
    kind = answer.content_type
    if kind == "text/event-stream":
        async for data in _events(answer):
            if (message := _message(data)) is not None:
                yield message
        return
    body = await _whole(answer)
    if answer.status == 202 and not body:
        return
    message = _message(body) if kind == "application/json" else None
    if message is None:
        raise Unreachable(f"What answers at {answer.url.origin()} is no MCP gateway (status {answer.status}).")
    yield message


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in answer.content.iter_any():
        size += len(part)
        if size > MAX_ANSWER:
            raise Unreachable(f"The answer is larger than {MAX_ANSWER // 1024 // 1024} MB.")
        parts.append(part)
    return b"".join(parts)


async def _events(answer: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    """The data of each event of a stream."""
    line: list[bytes] = []
    data: list[bytes] = []
    size = 0
    async for rest in answer.content.iter_any():
        while rest:
            piece, newline, rest = rest.partition(b"\n")
            line.append(piece)
            size += len(piece)
            if size > MAX_ANSWER:
                raise Unreachable(f"The answer is larger than {MAX_ANSWER // 1024 // 1024} MB.")
            if not newline:
                continue
            text = b"".join(line).rstrip(b"\r")
            line = []
            if text.startswith(b"data:"):
                data.append(text[5:].removeprefix(b" "))
            elif not text:
                if data:
                    yield b"\n".join(data)
                data, size = [], 0
            elif not data:
                size = 0


def _message(body: bytes) -> Message | None:
    try:
        found = jsonrpc.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("jsonrpc") == "2.0" else None


def _said(body: bytes) -> str:
    found: Any = (_message(body) or {}).get("error")
    return str(found.get("message", ""))[:200] if isinstance(found, dict) else ""


def _plain(error: BaseException) -> str:
    cause = getattr(error, "os_error", None) or error
    return str(getattr(cause, "strerror", "") or cause or type(cause).__name__)[:200]
