"""How fast a local sandbox starts, answers and dials, against raw spawns in the same run; one JSON line per figure.

    python -m tests.benchmarks.sandbox_start [--rounds 20]

Figures are milliseconds (p50, p95) unless the name says otherwise; ``ratio`` is p50 to the baseline's p50.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from sandboxes.driver import Attachment
from sandboxes.execute import run
from sandboxes.local.driver import LocalDriver
from tests.sandboxes.local_specs import local_spec

BARE_BWRAP = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"]


async def timed(rounds: int, work: Callable[[], Awaitable[object]]) -> list[float]:
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        await work()
        times.append((time.perf_counter() - begin) * 1000)
    return times


def report(name: str, times: list[float], baseline: list[float] | None = None, **more: object) -> None:
    p50 = statistics.median(times)
    line: dict[str, object] = {
        "figure": name,
        "p50_ms": round(p50, 3),
        "p95_ms": round(sorted(times)[-1 - len(times) // 20], 3),
    }
    if baseline is not None:
        base = statistics.median(baseline)
        line |= {"baseline_ms": round(base, 3), "ratio": round(p50 / base, 2), "added_ms": round(p50 - base, 3)}
    sys.stdout.write(json.dumps({**line, **more}) + "\n")


async def spawn(argv: list[str]) -> None:
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0


async def measure(directory: Path, rounds: int) -> None:
    driver, spec = LocalDriver(), local_spec(directory, listen=(8081,))

    starts: list[float] = []
    stops: list[float] = []
    for _ in range(rounds):
        begin = time.perf_counter()
        handle = await driver.start(spec)
        attachment: Attachment = await driver.attach(handle.state)
        starts.append((time.perf_counter() - begin) * 1000)
        await attachment.close()
        begin = time.perf_counter()
        await driver.stop(handle.state, now=True)
        stops.append((time.perf_counter() - begin) * 1000)
    bare = await timed(rounds, lambda: spawn(BARE_BWRAP))
    report("start to attached", starts, bare, against="bwrap --unshare-all true", goal_ms=150)
    report("stop", stops)

    handle = await driver.start(spec)
    attachment = await driver.attach(handle.state)
    await run(attachment, ["/bin/true"])
    plain = await timed(rounds * 5, lambda: spawn(["/bin/true"]))
    report("exec /bin/true", await timed(rounds * 5, lambda: run(attachment, ["/bin/true"])), plain,
           against="a plain subprocess", goal_added_ms=10)  # fmt: skip

    async def dial() -> None:
        (await attachment.dial(8081)).close()

    report("dial", await timed(rounds * 20, dial), goal_ms=1)

    async def attach() -> None:
        await (await driver.attach(handle.state)).close()

    report("attach", await timed(rounds * 5, attach))
    memory = {name: memory_mb(handle.state[name]["pid"]) for name in ("keeper", "init")}
    total = sum(rss for rss, _ in memory.values())
    line = {"figure": "memory", "rss_mb": total, "goal_mb": 30, **{f"{k}_rss_pss_mb": v for k, v in memory.items()}}
    sys.stdout.write(json.dumps(line) + "\n")
    await attachment.close()
    await driver.stop(handle.state, now=True)


def memory_mb(pid: int) -> tuple[float, float]:
    """RSS and PSS: shared libraries counted whole, and divided among those who share them."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return round(sizes["Rss"] / 1024, 1), round(sizes["Pss"] / 1024, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="logos-bench-", dir="/var/tmp"))
    directory.chmod(0o755)
    try:
        asyncio.run(measure(directory, arguments.rounds))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
