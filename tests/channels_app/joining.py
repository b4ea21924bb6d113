"""Join a shell's websocket as a page would: what is typed and said goes in, what it shows and tells comes out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from channels_app import shells

OWN = "http://testserver"


class Joined:
    """One websocket. ``async with`` opens it; leaving the block closes it. ``draws``: the page says what it has drawn."""

    def __init__(self, path: str, query: str = "rows=24&columns=80", *, draws: bool = True, **headers: str) -> None:
        given = {"host": "testserver", "origin": OWN, **headers}
        self.scope = {
            "type": "websocket",
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items() if value],
            "client": ["192.0.2.7", 5000],
            "server": ["testserver", 80],
        }
        self.is_accepted = False
        self.is_closed = False
        self.shown = b""
        self.told: list[dict[str, Any]] = []
        self._draws = draws
        self._news = asyncio.Condition()
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Joined:
        self._inbox.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(shells.application(self.scope, self._inbox.get, self._send))
        await self.until(lambda seen: seen.is_accepted or seen.is_closed)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._inbox.put_nowait({"type": "websocket.disconnect", "code": 1001})
        assert self.task is not None
        async with asyncio.timeout(150):
            await asyncio.wait([self.task])
        if not self.task.cancelled():
            self.task.result()

    @property
    def end(self) -> str:
        return next((told["ended"] for told in self.told if "ended" in told), "")

    def type(self, text: str) -> None:
        self._inbox.put_nowait({"type": "websocket.receive", "bytes": text.encode()})

    def say(self, text: str) -> None:
        self._inbox.put_nowait({"type": "websocket.receive", "text": text})

    async def until(self, condition: Callable[[Joined], object]) -> None:
        """Return when what has come fulfils the condition; fails after minutes, or when it is over without it."""
        async with asyncio.timeout(150), self._news:
            await self._news.wait_for(lambda: condition(self) or self._is_over())
        assert condition(self), (self.told, self.shown[-500:])

    async def reads(self, words: bytes) -> None:
        await self.until(lambda seen: words in seen.shown)

    def _is_over(self) -> bool:
        return self.task is not None and self.task.done()

    async def _send(self, message: dict[str, Any]) -> None:
        async with self._news:
            if message["type"] == "websocket.accept":
                assert not self.is_accepted
                self.is_accepted = True
            elif message["type"] == "websocket.close":
                self.is_closed = True
            else:
                assert self.is_accepted
                assert not self.is_closed
                self._take(message.get("bytes"), message.get("text"))
            self._news.notify_all()

    def _take(self, shown: bytes | None, text: str | None) -> None:
        if text:
            self.told.append(json.loads(text))
        if shown:
            self.shown += shown
            if self._draws:
                self.say(json.dumps({"drawn": len(shown)}))
