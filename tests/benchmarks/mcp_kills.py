"""What a killed MCP server costs its callers, and what many deaths leave behind.

    python -m tests.benchmarks.mcp_kills [--kills 50] [--json]

A server with 16 calls under way is killed with SIGKILL: how long until all 16 have an answer, and until the next call has
one, from a server that was started anew. Then it is killed many times more. The baseline is what a start of that server
takes by itself, because the next call waits for one.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import time
from typing import Any

from tests.benchmarks.measuring import fresh_home, report, rss_mb

GOALS = {
    "answered_s": ("<=", 1.0),
    "fds_more": ("<=", 0),
    "tasks_more": ("<=", 0),
    "children": ("<=", 1),
    "memory_mb_more": ("<=", 5),
}
IN_FLIGHT = 16


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))


async def kill(gate: Any) -> None:
    """SIGKILL the server's own process, and wait until the next one answers."""
    found = await gate.call("files", "who")
    os.kill(found["result"]["pid"], signal.SIGKILL)
    while (await gate.call("files", "who"))["result"].get("pid") in (None, found["result"]["pid"]):
        await asyncio.sleep(0.01)


async def in_flight(gate: Any) -> dict[str, float]:
    """Seconds until everybody is answered, and until the next call is."""
    from tests.mcp_gateway.gate import until

    pid = (await gate.call("files", "who"))["result"]["pid"]
    calls = [asyncio.ensure_future(gate.call("files", "slow", n, seconds=600)) for n in range(IN_FLIGHT)]
    await until(lambda: sum(map(len, gate.relay.carrier._open.values())) == IN_FLIGHT, "they are under way")
    began = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    answers = await asyncio.gather(*calls)
    answered = time.perf_counter() - began
    assert all(each["result"]["isError"] for each in answers)
    assert "isError" not in (await gate.call("files", "echo"))["result"]
    return {"answered_s": answered, "next_call_s": time.perf_counter() - began}


async def measured(kills: int) -> dict[str, float]:
    """All figures."""
    from mcp_gateway.supervisor import Times
    from tests.mcp_gateway.gate import a_gate, children_of

    async with a_gate() as gate:
        began = time.perf_counter()
        # As if it had run for long before each death: what crashes in a row waits ever longer and is parked, on purpose.
        gate.add("files", times=Times(30, 60, 0.01, steady_s=0.0))
        await gate.call("files", "echo")
        figures = {"start_s": time.perf_counter() - began} | await in_flight(gate)
        for _ in range(3):
            await kill(gate)
        fds, tasks, memory = descriptors(), len(asyncio.all_tasks()), rss_mb(os.getpid())
        for _ in range(kills):
            await kill(gate)
        gate.records.clear()
        await asyncio.sleep(2.0)  # what ended is put away a second later
        figures |= {
            "fds_more": descriptors() - fds,
            "tasks_more": len(asyncio.all_tasks()) - tasks,
            "children": len(children_of(os.getpid())),
            "memory_mb_more": rss_mb(os.getpid()) - memory,
        }
        return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON too")
    options = parser.parse_args()
    with fresh_home():
        figures = asyncio.run(measured(options.kills))
    for name, value in figures.items():
        print(f"{name:16} {value:8.3f}")  # noqa: T201
    report(figures, GOALS, as_json=options.json)


if __name__ == "__main__":
    main()
