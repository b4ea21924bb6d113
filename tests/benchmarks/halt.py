"""How soon a halt bites in other processes: from the moment somebody presses the button to the first refusal.

    python -m tests.benchmarks.halt [--rounds 20] [--json]

Three processes over one database: this one presses the button; one stands for a page's or task's door, which asks the
rows each time; one for an engine, which believes what it read up to half a second ago, as the router and the proxies do.
The baseline is the commit itself. It cannot tell how long a runtime takes to end what it does.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time

from tests.benchmarks.measuring import fresh_home, percentile, report

GOALS = {"door_max_s": ("<=", 1.0), "engine_max_s": ("<=", 1.0), "file_max_s": ("<=", 1.0)}
PAUSE_S = 0.002


def door() -> None:
    """Ask at every turn; say when the answer changes."""
    from agents import halting

    was = None
    while True:
        if (now := halting.is_halted(agent_id="agent_x", person_id=1)) != was:
            was = now
            print(int(now), time.monotonic(), flush=True)  # noqa: T201
        time.sleep(PAUSE_S)


async def engine() -> None:
    """Look as the keeper does, believe as the router does."""
    from runs.halt_keeper import LOOK_S
    from runs.threads import DatabaseThreads
    from sandboxes.halts import HaltWatch

    watch, was = HaltWatch(DatabaseThreads(2, "bench").run), None

    async def keep() -> None:
        while True:
            await watch.look()
            await asyncio.sleep(LOOK_S)

    keeping = asyncio.create_task(keep())
    while not keeping.done():
        now = await watch.refusal("agent_x", (1,)) is not None
        if now != was:
            was = now
            print(int(now), time.monotonic(), flush=True)  # noqa: T201
        await asyncio.sleep(PAUSE_S)


class Other:
    """A process that says when it is refused and when it may again."""

    def __init__(self, role: str) -> None:
        words = [sys.executable, "-m", "tests.benchmarks.halt", "--role", role]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        self.heard()

    def heard(self) -> tuple[bool, float]:
        assert self.process.stdout is not None
        is_on, at = self.process.stdout.readline().split()
        return is_on == "1", float(at)


def measure(rounds: int) -> dict[str, float]:
    """Seconds from pressing to refused, in each process; and of the commit."""
    from agents import halt_files, halting
    from agents.halts import Held
    from agents.models import Role, User

    ada = User.objects.create_user("ada", role=Role.ADMIN)
    others = {role: Other(role) for role in ("door", "engine")}
    took: dict[str, list[float]] = {"door": [], "engine": [], "commit": [], "resume": [], "file": []}
    try:
        for number in range(rounds):
            time.sleep(0.05 + 0.037 * (number % 17))  # somewhere in the time between two looks
            began = time.monotonic()
            halt = halting.stop(ada, "everything")
            took["commit"].append(time.monotonic() - began)
            for role, other in others.items():
                took[role].append(other.heard()[1] - began)
            began = time.monotonic()
            halting.resume(ada, halt.pk, "lifted")
            took["resume"].append(max(other.heard()[1] for other in others.values()) - began)
            began = time.monotonic()
            path = halt_files.write(Held("halt_file", "everything"), "ada")
            took["file"].append(max(other.heard()[1] for other in others.values()) - began)
            halt_files.remove(path)
            for other in others.values():
                other.heard()
    finally:
        for other in others.values():
            other.process.kill()
    figures = {f"{name}_p50_s": percentile(values, 0.5) for name, values in took.items()}
    return figures | {f"{name}_max_s": max(values) for name, values in took.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--role", choices=("door", "engine"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        import django

        django.setup()
        door() if options.role == "door" else asyncio.run(engine())
        return
    with fresh_home():
        figures = measure(options.rounds)
    for name, value in sorted(figures.items()):
        print(f"{name:16} {value:8.3f}")  # noqa: T201
    report(figures, GOALS, as_json=options.json)


if __name__ == "__main__":
    main()
