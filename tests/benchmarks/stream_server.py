"""The serving half of the stream benchmark: ``serve`` as it is, with a scripted source instead of sandboxes.

Pages and streams come from the real server and application; events go the way of a run's: the runtime's client,
recorder, hub, writer, rows with their digest chain. Beside it, in the same process, stands the raw relay.
Commands come as JSON lines on standard input, an answer for each goes to standard output.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from sandboxes.hermes.client import HermesClient
from sandboxes.hermes.events import TextDelta

PADDING = "x" * 120
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n: ok\n\n"
AHEAD = 2000  # events the flat-out source may be ahead of the rows


class Raw:
    """The least a relay can do: bytes from a source to every viewer of the run. The path names the run."""

    def __init__(self) -> None:
        self.viewers: dict[str, list[asyncio.Transport]] = {}

    async def listen(self) -> int:
        server = await asyncio.get_running_loop().create_server(lambda: RawViewer(self), "127.0.0.1", 0)
        return int(server.sockets[0].getsockname()[1])


class RawViewer(asyncio.Protocol):
    def __init__(self, raw: Raw) -> None:
        self.raw = raw

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self.transport, asyncio.Transport)
        self.run_id = data.split(b"/api/runs/", 1)[1].split(b"/", 1)[0].decode()
        self.raw.viewers.setdefault(self.run_id, []).append(self.transport)
        self.transport.write(HEAD)

    def connection_lost(self, error: Exception | None) -> None:
        self.raw.viewers[self.run_id].remove(self.transport)  # type: ignore[arg-type]


class RawSource(asyncio.Protocol):
    """The relay's connection to the source of one run."""

    def __init__(self, raw: Raw, run_id: str) -> None:
        self.viewers, self.run_id = raw.viewers[run_id], run_id
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(f"GET /v1/runs/{self.run_id}/events HTTP/1.1\r\n\r\n".encode())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        for viewer in self.viewers:
            viewer.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.ended.set_result(None)


class Engine:
    """Stands where the engine stands: started and stopped with the server, on its loop."""

    def __init__(self) -> None:
        from runs import events
        from runs.hub import hub
        from runs.recorder import Writer
        from runs.threads import DatabaseThreads

        self.hub = hub
        self.pen = DatabaseThreads(1, "writer")
        self.raw = Raw()

        async def store(batch: list[events.Event], heads: dict[str, str]) -> dict[str, str]:
            written: dict[str, str] = await self.pen.run(events.store, batch, heads)
            return written

        self.writer = Writer(store, hub)
        self.recorders: dict[str, Any] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self.loop = asyncio.get_running_loop()
        say(raw_port=await self.raw.listen())
        threading.Thread(target=self.listen, daemon=True).start()

    async def stop(self) -> None:
        await self.writer.close()

    def listen(self) -> None:
        for line in sys.stdin:
            command = json.loads(line)
            asyncio.run_coroutine_threadsafe(self.obey(command), self.loop).result()

    async def obey(self, command: dict[str, Any]) -> None:
        todo: Callable[..., Awaitable[dict[str, Any]]] = getattr(self, command.pop("do"))
        say(**await todo(**command))

    async def make_runs(self, ids: list[str]) -> dict[str, Any]:
        """Runs that this process carries out, from now on until they are ended."""
        from runs.recorder import Recorder

        for run_id in ids:
            self.hub.carried.add(run_id)
            self.recorders[run_id] = Recorder(run_id, 0, self.writer, self.hub)
        return {}

    async def viewers(self, raw: bool) -> dict[str, Any]:
        if raw:
            return {"viewers": sum(map(len, self.raw.viewers.values()))}
        return {"viewers": sum(self.hub.viewers(run_id) for run_id in self.recorders)}

    async def follow(self, ids: list[str], source: int, raw: bool) -> dict[str, Any]:
        """Take every run's events from the source until it has ended them."""
        await asyncio.gather(*(self._relay(run_id, source) if raw else self._ingest(run_id, source) for run_id in ids))
        for run_id in [] if raw else ids:
            await self.recorders[run_id].flush()
        return {}

    async def _relay(self, run_id: str, port: int) -> None:
        _, protocol = await self.loop.create_connection(lambda: RawSource(self.raw, run_id), "127.0.0.1", port)
        await protocol.ended

    async def _ingest(self, run_id: str, port: int) -> None:
        """As ``runs.execution`` follows a runtime."""

        async def dial() -> socket.socket:
            connection = socket.create_connection(("127.0.0.1", port))
            connection.setblocking(False)
            return connection

        async with HermesClient(dial, "no key") as client:
            async for event in client.events(run_id):
                if isinstance(event, TextDelta):
                    self.recorders[run_id].grow("text.delta", event.text)

    async def flood(self, run_id: str, count: int) -> dict[str, Any]:
        """Emit as fast as rows can follow; the seconds until everything was stored."""
        recorder, began = self.recorders[run_id], time.perf_counter()
        for number in range(count):
            recorder.emit("note", {"text": PADDING, "stamp": f"ns:{time.monotonic_ns()};"})
            if number % 50 == 0:
                await asyncio.sleep(0)
                while len(self.writer._queue) > AHEAD:
                    await asyncio.sleep(0.001)
        await recorder.flush()
        return {"seconds": time.perf_counter() - began}


def say(**words: Any) -> None:
    print(json.dumps(words), flush=True)  # noqa: T201


def main() -> None:
    import django

    django.setup()
    from logos_site.serving import Server  # installs the reactor

    from logos_site.asgi import application  # isort: skip

    Server(application, Engine(), "127.0.0.1", int(sys.argv[1])).serve()


if __name__ == "__main__":
    main()
