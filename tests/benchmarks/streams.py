"""What lies between the runtime's event and a viewer's socket, and how many events one process can take.

    python -m tests.benchmarks.streams [--seconds 6] [--json]

A source process that speaks like the runtime, the real server (``stream_server``), and this process with all
viewers, on loopback. Latency is from just before the source writes an event to the viewer's socket being read, on
the clock all share. Beside Logos stands a raw asyncio relay in the same server process, and the two take turns.
With many viewers of one run the last one waits for the others, in both. It cannot tell what TLS, a network or a
real browser add.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.measuring import fresh_home, percentile, report, rss_mb
from tests.journeys.house import until
from tests.ports import free_port

GOALS = {
    "p50_ratio_to_raw_10_viewers": ("<=", 2.0),
    "p50_ratio_to_raw_200_viewers": ("<=", 2.0),
    "p50_ms_10_viewers": ("<=", 0.5),
    "p99_ms_200_viewers": ("<=", 5.0),
    "p99_ms_500_viewers_of_one_run": ("<=", 50.0),
    "events_per_s": (">=", 10_000.0),
}
STAMP = re.compile(rb"ns:(\d+);")
SEQ = re.compile(rb'"seq": (\d+)')
TURNS = 3
PER_S = 10


@dataclass
class Viewer(asyncio.Protocol):
    """One open page. Notes what came and when; it is read afterwards."""

    run_id: str
    token: str
    got: list[tuple[int, bytes]] = field(default_factory=list)
    size: int = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        head = f"GET /api/runs/{self.run_id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
        transport.write(f"{head}Authorization: Bearer {self.token}\r\n\r\n".encode())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.got.append((time.monotonic_ns(), data))
        self.size += len(data)

    def latencies_ms(self) -> list[float]:
        """Of everything that came, in order."""
        found = []
        rest = b""
        for at, data in self.got:
            *frames, rest = (rest + data).split(b"\n\n")
            # On a busy machine two pieces of text may have been joined into one event.
            found += [(at - int(stamp)) / 1e6 for frame in frames for stamp in STAMP.findall(frame)]
        return found

    def numbers(self) -> list[int]:
        """The ``seq`` of everything that came, in order."""
        return [int(number) for number in SEQ.findall(b"".join(data for _, data in self.got))]


@contextlib.contextmanager
def source(runs: int, seconds: float) -> Iterator[int]:
    """A source of ``runs`` streams that last so long; its port."""
    words = [str(PER_S), str(int(PER_S * seconds)), str(runs)]
    command = [sys.executable, "-m", "tests.benchmarks.stream_source", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


class Server:
    """The server process, told what to do line by line."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.stream_server", str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.raw_port = int(self._answer()["raw_port"])

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the server has ended"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, do: str, **words: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **words}) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)


class Bench:
    """Rows for the runs, a person who may see them, and a server."""

    def __init__(self, home: Path) -> None:
        from agents import composition, routes, souls
        from agents.models import ApiToken, Role, User

        self.admin = User.objects.create_user("ada", password="a long enough password", role=Role.ADMIN)
        routes.rehearsal_route(self.admin)
        self.agent = composition.create(self.admin, "atlas", souls.create("Soul", "You are calm.", self.admin))
        self.token = ApiToken.make(self.admin, "benchmark")[1]
        self.server = Server(free_port())

    def runs(self, count: int) -> list[str]:
        """New runs, known to the server as its own."""
        from runs import dispatch
        from runs.models import Run, RunEvent

        ids = [dispatch.start(self.admin, "hello", agent=self.agent).run.pk for _ in range(count)]
        Run.objects.filter(pk__in=ids).update(status="running", lease_owner="benchmark")
        RunEvent.objects.filter(run_id__in=ids).delete()
        self.server.ask("make_runs", ids=ids)
        return ids

    async def open(self, ids: list[str], each: int, *, raw: bool) -> list[Viewer]:
        """``each`` viewers of every run, all of them connected and following."""
        loop, made = asyncio.get_running_loop(), []
        for run_id in ids * each:
            viewer = Viewer(run_id, self.token)
            port = self.server.raw_port if raw else self.server.port
            await loop.create_connection(lambda: viewer, "127.0.0.1", port)  # noqa: B023
            made.append(viewer)
            if len(made) % 20 == 0:
                await asyncio.sleep(0.02)
        while (await self.ask("viewers", raw=raw))["viewers"] < len(made):
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)  # the last ones read their rows
        return made

    async def ask(self, do: str, **words: Any) -> dict[str, Any]:
        return await asyncio.to_thread(self.server.ask, do, **words)


async def pace(bench: Bench, runs: int, each: int, seconds: float) -> dict[str, list[float]]:
    """Latencies of the raw relay and of Logos, the two taking turns."""
    found: dict[str, list[float]] = {"raw": [], "logos": []}
    for _ in range(TURNS):
        for way, latencies in found.items():
            ids = await asyncio.to_thread(bench.runs, runs)
            viewers = await bench.open(ids, each, raw=way == "raw")
            with source(runs, seconds / TURNS) as port:
                await bench.ask("follow", ids=ids, source=port, raw=way == "raw")
            await asyncio.sleep(0.3)
            for viewer in viewers:
                viewer.transport.close()
                came = viewer.latencies_ms()
                assert len(came) == int(PER_S * seconds / TURNS), f"{way}: {len(came)} events came"
                latencies += came
    return found


async def flood(bench: Bench, count: int) -> dict[str, float]:
    """One run flat out with one viewer: taken, chained, stored and delivered."""
    (run_id,) = await asyncio.to_thread(bench.runs, 1)
    (viewer,) = await bench.open([run_id], 1, raw=False)
    began = time.perf_counter()
    stored_s = (await bench.ask("flood", run_id=run_id, count=count))["seconds"]
    while b'"seq": %d,' % count not in viewer.got[-1][1] + viewer.got[-2][1]:
        await asyncio.sleep(0.005)
        assert time.perf_counter() - began < 60, "not everything was delivered"
    delivered_s = time.perf_counter() - began
    viewer.transport.close()
    assert viewer.numbers() == list(range(1, count + 1)), "a gap or a duplicate"
    print(f"\n{count:,} events flat out: stored after {stored_s:.2f} s, delivered after {delivered_s:.2f} s")  # noqa: T201
    await asyncio.to_thread(check_chain, run_id, count)
    return {
        "events_per_s": count / max(stored_s, delivered_s),
        "flood_p50_ms": percentile(viewer.latencies_ms(), 0.5),
    }


def check_chain(run_id: str, count: int) -> None:
    from runs import events
    from runs.models import Run

    run = Run.objects.get(pk=run_id)
    assert run.events.count() == count
    assert events.verify(run) == ""


async def compare(bench: Bench, seconds: float) -> dict[str, float]:
    figures: dict[str, float] = {}
    print(f"{'':34} {'way':6} {'p50 ms':>8} {'p99 ms':>8} {'x raw p50':>10}")  # noqa: T201
    for name, runs, each in (
        ("10_viewers", 10, 1),
        ("200_viewers", 10, 20),
        ("500_viewers_of_one_run", 1, 500),
    ):
        found = await pace(bench, runs, each, seconds)
        base = percentile(found["raw"], 0.5)
        for way, latencies in found.items():
            p50, p99 = percentile(latencies, 0.5), percentile(latencies, 0.99)
            label = f"{runs} run(s) x {each} viewer(s), 10/s" if way == "raw" else ""
            print(f"{label:34} {way:6} {p50:8.3f} {p99:8.3f} {p50 / base:10.2f}")  # noqa: T201
        figures[f"p50_ms_{name}"] = percentile(found["logos"], 0.5)
        figures[f"p99_ms_{name}"] = percentile(found["logos"], 0.99)
        figures[f"raw_p50_ms_{name}"] = base
        figures[f"raw_p99_ms_{name}"] = percentile(found["raw"], 0.99)
        figures[f"p50_ratio_to_raw_{name}"] = figures[f"p50_ms_{name}"] / base
    figures |= await flood(bench, 40_000)
    figures["server_rss_mb"] = rss_mb(bench.server.process.pid)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=6.0, help="per way and row")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON at the end")
    options = parser.parse_args()
    with fresh_home() as home:
        bench = Bench(home)
        try:
            until(lambda: bench.server.process.poll() is None, "the server runs")
            report(asyncio.run(compare(bench, options.seconds)), GOALS, as_json=options.json)
        finally:
            bench.server.close()


if __name__ == "__main__":
    main()
