"""The serving half of the stream benchmark: ``serve`` as it is, with a scripted source instead of sandboxes.

Pages and streams come from the real server and application; events go the way of a run's: recorder, hub, writer,
rows with their digest chain. Beside it, in the same process, stands the raw relay: sockets and nothing else.
Commands come as JSON lines on standard input, an answer for each goes to standard output.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

KIND = "note"
PADDING = "x" * 120
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n: ok\n\n"
AHEAD = 2000  # events the flat-out source may be ahead of the rows


class Raw:
    """The least a relay can do: one write per event and viewer. The path names the run."""

    def __init__(self) -> None:
        self.viewers: dict[str, list[asyncio.Transport]] = {}

    async def listen(self) -> int:
        server = await asyncio.get_running_loop().create_server(lambda: RawViewer(self), "127.0.0.1", 0)
        return int(server.sockets[0].getsockname()[1])

    def emit(self, run_id: str, seq: int) -> None:
        body = {"seq": seq, "kind": "note", "at": "2026-11-21T08:00:00.000000+00:00", "data": stamped()}
        frame = f"id: {seq}\nevent: note\ndata: {json.dumps(body)}\n\n".encode()
        for viewer in self.viewers.get(run_id, ()):
            viewer.write(frame)


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


def stamped() -> dict[str, Any]:
    """About what an event weighs, and when it came into being on the clock both processes share."""
    return {"text": PADDING, "ns": time.monotonic_ns()}


class Source:
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

    async def pace(self, ids: list[str], per_s: float, seconds: float, raw: bool) -> dict[str, Any]:
        """Emit steadily, every run a little after the one before."""
        emitted, gap, began = 0, 1 / per_s / len(ids), self.loop.time()
        while (due := began + emitted * gap) < began + seconds:
            await asyncio.sleep(due - self.loop.time())
            run_id = ids[emitted % len(ids)]
            if raw:
                self.raw.emit(run_id, emitted + 1)
            else:
                self.recorders[run_id].emit(KIND, stamped())
            emitted += 1
        return {"emitted": emitted}

    async def flood(self, run_id: str, count: int) -> dict[str, Any]:
        """Emit as fast as rows can follow; the seconds until everything was stored."""
        recorder, began = self.recorders[run_id], time.perf_counter()
        for number in range(count):
            recorder.emit(KIND, stamped())
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

    Server(application, Source(), "127.0.0.1", int(sys.argv[1])).serve()


if __name__ == "__main__":
    main()
