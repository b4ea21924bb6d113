"""What the MCP gateway takes for a call, and how many it carries, with policy and records on.

    python -m tests.benchmarks.mcp_calls [--seconds 3] [--rounds 3] [--json]

Three ways to the same tool in the same run, in turn: the pipe of a stdio server (what nothing can beat), a streamable HTTP
server made with the official SDK (what people would run instead), and the gateway in front of the stdio server, on uvicorn
as sandboxes reach it ("effect": a tool whose calls are written down before they are made; "far": in front of the SDK's server
instead, over HTTP), and a whole site: the port of its own
that it has for clients outside ("own"), and the one its pages are on ("site"). One connection and one session for each caller. Of
several rounds the median counts. Processor time of the serving process says what a call costs when others use the machine too.
It cannot tell what a slow network adds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.mcp_callers import ECHO, Caller, Pipe
from tests.benchmarks.measuring import fresh_home, percentile, report

GOALS = {
    "ratio_16": (">=", 1.5),
    "ratio_64": (">=", 1.5),
    "added_p50_ms": ("<=", 1.5),
    "errors": ("<=", 0),
}
MANAGE = Path(__file__).parents[2] / "manage.py"
CALLERS = (1, 16, 64)
TICKS = os.sysconf("SC_CLK_TCK")


def rows(elsewhere: str = "") -> str:
    """An agent with access to the stdio server, and to the one at this address; the secret of its token."""
    from agents import composition, souls
    from agents.models import Role, User
    from mcp_gateway import access, servers
    from sandboxes.tool_server import rules

    ada = User.objects.create_user("ada", password="benchmark-only", role=Role.ADMIN)
    agent = composition.create(ada, "atlas", souls.create("Soul", "Text.", ada))
    server = servers.create(ada, "echo", sys.executable, args=[str(ECHO)], place="host")
    access.give(ada, agent.pk, server.pk)
    # As a careful site has them; none of them stops a call, all are looked at.
    for tier, tool, pattern in (
        ("block", "mcp:*", "path=/etc/*"), ("block", "mcp:*", "command=*sudo*"), ("ask", "mcp:echo.*", "text=delete *"),
        ("ask", "mcp:github.*", "repo=acme/*"),
    ):  # fmt: skip
        rules.put(ada, None, layer="site", tool=tool, tier=tier, condition="argument", pattern=pattern)
    if elsewhere:
        far = servers.create(ada, "far", kind="http", url=elsewhere, allows_private=True)
        access.give(ada, agent.pk, far.pk)
    return access.make_token(ada, agent.pk, "benchmark")[1]


class Other:
    """A serving process: where it answers, and what it costs."""

    def __init__(self, words: list[str], port: int = 0) -> None:
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.port = port or self._said_port()
        # A full pipe would stop it.
        threading.Thread(target=self._drain, daemon=True).start()

    def _said_port(self) -> int:
        for line in self.process.stdout or ():
            if line.strip().isdigit():
                return int(line)
        raise RuntimeError("It did not start.")

    def _drain(self) -> None:
        for line in self.process.stdout or ():
            print(f"  {line.rstrip()[:300]}", flush=True)  # noqa: T201

    def cpu_s(self) -> float:
        """Processor time it has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def close(self) -> None:
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=20)
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def another(*words: str, port: int = 0) -> Iterator[Other]:
    found = Other([sys.executable, *words], port)
    try:
        yield found
    finally:
        found.close()


@contextlib.asynccontextmanager
async def opened(callers: list[Any]) -> AsyncIterator[list[Any]]:
    try:
        await asyncio.gather(*(each.open() for each in callers))
        yield callers
    finally:
        await asyncio.gather(*(each.close() for each in callers))


async def measured(callers: list[Any], seconds: float) -> tuple[list[float], int, float]:
    """How long each call took, how many failed, and how long it all went on, after a warm-up."""
    took: list[float] = []
    failed, ends = 0, 0.0

    async def story(caller: Any, number: int, *, counts: bool) -> None:
        nonlocal failed
        turn = 0
        while time.perf_counter() < ends:
            turn, began = turn + 1, time.perf_counter()
            is_good = await caller.echo(f"{number}/{turn}")
            if counts:
                took.append(time.perf_counter() - began)
                failed += not is_good

    async with opened(callers):
        ends = time.perf_counter() + seconds / 3
        await asyncio.gather(*(story(each, number, counts=False) for number, each in enumerate(callers)))
        began = time.perf_counter()
        ends = began + seconds
        await asyncio.gather(*(story(each, number, counts=True) for number, each in enumerate(callers)))
        return took, failed, time.perf_counter() - began


async def compared(
    ways: dict[str, tuple[Other, str, str]], token: str, seconds: float, rounds: int
) -> dict[str, float]:
    """Figures of every way, in turn."""
    found: dict[str, list[float]] = {}
    errors = 0
    for _ in range(rounds):
        took, failed, _ = await measured([Pipe()], seconds)
        errors += failed
        found.setdefault("pipe_p50_ms", []).append(percentile(took, 0.5) * 1000)
        for callers in CALLERS:
            for name, (other, url, tool) in ways.items():
                cpu = other.cpu_s()
                took, failed, lasted = await measured([Caller(url, token, tool) for _ in range(callers)], seconds)
                errors += failed
                mark = f"{name}_{callers}"
                found.setdefault(f"{mark}_per_s", []).append(len(took) / lasted)
                found.setdefault(f"{mark}_cpu_ms", []).append((other.cpu_s() - cpu) * 1000 / (len(took) * 4 / 3))
                for share in (50, 95):
                    found.setdefault(f"{mark}_p{share}_ms", []).append(percentile(took, share / 100) * 1000)
    figures = {name: statistics.median(values) for name, values in found.items()}
    return figures | {"errors": errors}


def with_ratios(figures: dict[str, float], name: str) -> dict[str, float]:
    """What the goals are about, for one way through the gateway."""
    mark = "" if name == "gateway" else f"{name}_"
    ratios = {f"{mark}ratio_{n}": figures[f"{name}_{n}_per_s"] / figures[f"sdk_{n}_per_s"] for n in (16, 64)}
    return ratios | {f"{mark}added_p50_ms": figures[f"{name}_1_p50_ms"] - figures["pipe_p50_ms"]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON too")
    options = parser.parse_args()
    with fresh_home(), another("-m", "tests.benchmarks.mcp_serving", "sdk") as sdk:
        at_sdk = f"http://127.0.0.1:{sdk.port}/mcp"
        token = rows(at_sdk)
        figures: dict[str, float] = {}
        direct = {"sdk": (sdk, at_sdk, "echo")}
        with another("-m", "tests.benchmarks.mcp_serving", "gateway") as gateway:
            url = f"http://127.0.0.1:{gateway.port}/mcp/echo"
            far = (gateway, f"http://127.0.0.1:{gateway.port}/mcp/far", "echo")
            ways = {**direct, "gateway": (gateway, url, "echo"), "effect": (gateway, url, "note"), "far": far}
            figures = asyncio.run(compared(ways, token, options.seconds, options.rounds))
            for name in ("gateway", "effect", "far"):
                figures |= with_ratios(figures, name)
            print(f"{recorded():,} calls are rows")  # noqa: T201
        show(figures)
        port, own = free_port(), free_port()
        os.environ["LOGOS_MCP_PORT"] = str(own)
        with another(str(MANAGE), "serve", "--port", str(port), port=port) as site:
            by_site, by_own = (f"http://127.0.0.1:{each}/mcp/echo" for each in (port, own))
            asyncio.run(answering(by_own, token))
            ways = {**direct, "own": (site, by_own, "echo"), "site": (site, by_site, "echo")}
            more = asyncio.run(compared(ways, token, options.seconds, options.rounds))
            errors = figures["errors"] + more["errors"]
            ratios = with_ratios(more, "own") | with_ratios(more, "site")
            figures = {**more, **figures, **ratios, "errors": errors}
    show(figures)
    report(figures, GOALS, as_json=options.json)


def show(figures: dict[str, float]) -> None:
    for name, value in sorted(figures.items()):
        print(f"{name:24} {value:10,.2f}", flush=True)  # noqa: T201


def recorded() -> int:
    """How many calls are rows, once no more come."""
    from mcp_gateway.models import McpCall

    before = -1
    while (now := McpCall.objects.count()) != before:
        before = now
        time.sleep(2.0)
    return now


def free_port() -> int:
    from tests.benchmarks.mcp_serving import listening

    with listening() as listener:
        return listener.getsockname()[1]


async def answering(url: str, token: str) -> None:
    """Wait until the site answers there."""
    ends = time.monotonic() + 120
    while True:
        caller = Caller(url, token, "echo")
        try:
            await caller.open()
            return
        except (OSError, ValueError, KeyError):
            if time.monotonic() > ends:
                raise
            await asyncio.sleep(0.2)
        finally:
            await caller.close()


if __name__ == "__main__":
    main()
