"""What an HTTP server says, read with a limit: one JSON body, or the events of a stream (pure but for the reading)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp

from mcp_gateway.peers import MAX_LINE, Gone, TooLarge

MAX_COMPLAINT = 64 * 1024
# Lines of a stream that say nothing (comments, ids, events without data): so many are nobody's business. A keep-alive is
# one of them, and an ordinary answer has a few.
IDLE_LINES = 100


class Events:
    """The data of server-sent events, from bytes as they come; nothing for each line too many that says nothing. Raises
    TooLarge."""

    def __init__(self, longest: int = MAX_LINE) -> None:
        self._longest = longest
        self._line: list[bytes] = []
        self._data: list[bytes] = []
        self._size = 0
        self._idle = 0
        self._had_return = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that end in this piece."""
        if self._had_return and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        self._had_return = chunk.endswith(b"\r")
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        found: list[bytes] = []
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            self._keep(piece)
            line, self._line = b"".join(self._line), []
            if not line and any(self._data):
                found.append(b"\n".join(self._data))
                self._data, self._size = [], 0
            elif not line:
                self._data, self._size = [], 0
                found += self._said_nothing()
            elif line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            else:
                self._size -= len(line)  # comments and other fields: nothing of them is kept
                found += self._said_nothing()
        self._keep(rest)
        return found

    def _said_nothing(self) -> list[bytes]:
        self._idle += 1
        return [b""] if self._idle > IDLE_LINES else []

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._longest:
            raise too_large()
        if piece:
            self._line.append(piece)


def too_large() -> TooLarge:
    return TooLarge(f"Its answer is larger than {MAX_LINE // 1024 // 1024} MB.")


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The data of every event until the stream ends. Raises TooLarge, and Gone when it breaks off."""
    parser = Events()
    try:
        async for chunk in response.content.iter_any():
            for data in parser.feed(chunk):
                yield data
    except (aiohttp.ClientError, OSError) as error:
        raise Gone("The connection to it broke off.") from error


async def body(response: aiohttp.ClientResponse, most: int = MAX_LINE) -> bytes:
    """The whole body. Raises TooLarge, and Gone when it breaks off."""
    parts, size = [], 0
    try:
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > most:
                raise too_large()
            parts.append(chunk)
    except (aiohttp.ClientError, OSError) as error:
        raise Gone("The connection to it broke off.") from error
    return b"".join(parts)


async def complaint(response: aiohttp.ClientResponse) -> bytes:
    """The beginning of the body of a refusal; nothing when it is long or breaks off."""
    try:
        return await body(response, MAX_COMPLAINT)
    except Gone:
        return b""


def kind(response: aiohttp.ClientResponse) -> str:
    """The media type, small and without parameters."""
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
