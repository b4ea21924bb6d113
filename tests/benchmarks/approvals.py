"""How soon an agent goes on after a decision: from the request that decides to the end of the tool that waited.

    python -m tests.benchmarks.approvals [--rounds 20] [--json]

The baseline is the runtime's own answer: the same command, asked and answered at the runtime's interface without Logos
between. Both end when the runtime says that the tool has ended, so both hold the command itself.
"""

from __future__ import annotations

import argparse
import asyncio
import time

from tests.benchmarks.measuring import fresh_home, percentile, report
from tests.journeys.house import House, manage
from tests.sandboxes.hermes.installed import installed_runtime, runtime_home

GOALS = {"through_logos_p95_s": ("<=", 0.3)}
SETTLED_S = 0.3


def through_logos(logos: House, rounds: int) -> list[float]:
    """Seconds from the decision's request to the event that the tool has ended, one run after another."""
    took = []
    for number in range(rounds):
        run_id, began = logos.send(f"run: rm -rf nothing-{number}")["id"], 0.0
        for event in logos.stream(run_id):
            if event["kind"] == "approval.requested":
                time.sleep(SETTLED_S)  # a person reads first
                began = time.perf_counter()
                logos.api("POST", f"/approvals/{event['data']['id']}", json={"choice": "once"})
            elif event["kind"] == "tool.completed":
                took.append(time.perf_counter() - began)
    return took


async def bare(rounds: int) -> list[float]:
    """The same at the runtime's own interface."""
    from sandboxes.hermes.configuration import HermesConfig
    from sandboxes.hermes.events import ApprovalRequest, ToolCompleted
    from tests.sandboxes.hermes.real_sandbox import real_sandbox

    took = []
    config = HermesConfig("scripted", toolsets=("terminal", "file", "todo"), max_concurrent_runs=4)
    async with real_sandbox(installed_runtime(), config) as sandbox, sandbox.client() as client:
        for number in range(rounds):
            run_id = await client.start_run(f"run: rm -rf nothing-{number}", lane=1, session_id=f"bench-{number}")
            began = 0.0
            async for event in client.events(run_id):
                if isinstance(event, ApprovalRequest):
                    await asyncio.sleep(SETTLED_S)
                    began = time.perf_counter()
                    await client.approve(run_id, "once")
                elif isinstance(event, ToolCompleted):
                    took.append(time.perf_counter() - began)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON at the end")
    options = parser.parse_args()
    installed_runtime()
    with fresh_home() as home:
        (home / "runtime").symlink_to(runtime_home() / "runtime")
        manage(home, "collectstatic", "--noinput", "--verbosity", "0")
        logos = House(home)
        try:
            logos.seed()
            logos.start()
            through_logos(logos, 1)
            ours = through_logos(logos, options.rounds)
        finally:
            logos.close()
        theirs = asyncio.run(bare(options.rounds))
    figures = {
        "through_logos_p50_s": percentile(ours, 0.5),
        "through_logos_p95_s": percentile(ours, 0.95),
        "bare_runtime_p50_s": percentile(theirs, 0.5),
        "bare_runtime_p95_s": percentile(theirs, 0.95),
        "ratio_p50": percentile(ours, 0.5) / percentile(theirs, 0.5),
        "added_p95_s": percentile(ours, 0.95) - percentile(theirs, 0.95),
    }
    for name, value in figures.items():
        print(f"{name:32} {value:8.3f}")  # noqa: T201
    report(figures, GOALS, as_json=options.json)


if __name__ == "__main__":
    main()
