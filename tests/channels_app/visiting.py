"""Visit the stream application as a server would: a scope in, messages out, and leave when done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from channels_app import streams


@dataclass(frozen=True)
class Frame:
    """One server-sent event."""

    id: int | str | None
    event: str
    data: Any


class Visit:
    """One connection. ``async with`` opens it; leaving the block disconnects."""

    application = staticmethod(streams.application)

    def __init__(self, path: str, query: str = "", method: str = "GET", **headers: str) -> None:
        self.scope = {
            "type": "http",
            "path": path,
            "method": method,
            "query_string": query.encode(),
            "headers": [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()],
        }
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.is_over = False
        self._left = asyncio.Event()
        self._news = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Visit:
        self._task = asyncio.create_task(self.application(self.scope, self._receive, self._send))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._left.set()
        assert self._task is not None
        async with asyncio.timeout(120):
            await self._task

    @property
    def frames(self) -> list[Frame]:
        parts = [part for part in self.body.decode().split("\n\n") if part and not part.startswith(":")]
        return [_frame(part) for part in parts]

    @property
    def seqs(self) -> list[int]:
        return [frame.id for frame in self.frames if isinstance(frame.id, int)]

    async def until(self, condition: Callable[[Visit], object]) -> None:
        """Return when what has come fulfils the condition; fails after two minutes."""
        async with asyncio.timeout(120), self._news:
            await self._news.wait_for(lambda: condition(self))

    async def to_the_end(self) -> Visit:
        """The whole answer."""
        await self.until(lambda visit: visit.is_over)
        return self

    async def _receive(self) -> dict[str, Any]:
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        async with self._news:
            if message["type"] == "http.response.start":
                assert not self.status
                self.status = message["status"]
                self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                assert self.status
                assert not self.is_over
                self.body += message.get("body", b"")
                self.is_over = not message.get("more_body", False)
            self._news.notify_all()


def _frame(part: str) -> Frame:
    fields = dict(line.split(": ", 1) for line in part.split("\n"))
    number = fields.get("id")
    return Frame(
        (int(number) if number.isdigit() else number) if number else None, fields["event"], json.loads(fields["data"])
    )


async def visit(path: str, query: str = "", method: str = "GET", **headers: str) -> Visit:
    """The whole answer to one request that ends by itself."""
    async with Visit(path, query, method, **headers) as opened:
        return await opened.to_the_end()


def asked(path: str, query: str = "", method: str = "GET", **headers: str) -> Visit:
    """The same for tests that are no coroutines."""
    return asyncio.run(visit(path, query, method, **headers))
