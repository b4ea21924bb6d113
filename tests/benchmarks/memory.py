"""What an idle Logos weighs: the serving process, and what each sandbox costs before the runtime in it.

    python -m tests.benchmarks.memory [--idle 5] [--json]

The real server with one agent that has answered once. Resident memory counts shared pages whole, proportional
memory divides them by their users; the baseline is a Python process that has only imported Django. The runtime
itself is listed and has no goal: it is not ours.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from tests.benchmarks.measuring import fresh_home, pss_mb, report, rss_mb
from tests.journeys.house import House, keepers_of, processes_of
from tests.sandboxes.hermes.installed import installed_runtime, runtime_home

GOALS = {"serve_idle_rss_mb": ("<=", 150.0), "keeper_and_pid1_rss_mb": ("<=", 30.0)}
WAITING = "import django.http, django.template, django.db.models, time; print(1, flush=True); time.sleep(60)"


def bare_django_mb() -> float:
    """The resident memory of a Python process with Django imported and nothing done."""
    with subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = rss_mb(process.pid)
        process.kill()
    return found


def sandbox(house: House) -> dict[str, float]:
    """Keeper, PID 1 and bubblewrap of the one sandbox, and the runtime in it."""
    (keeper,) = keepers_of(house.home)
    found = {"keeper_rss_mb": rss_mb(keeper), "keeper_pss_mb": pss_mb(keeper)}
    for pid, command in processes_of(house.home).items():
        for name in ("pid1", "gateway"):
            if name in command and "serve" not in command:
                found |= {f"{name}_rss_mb": rss_mb(pid), f"{name}_pss_mb": pss_mb(pid)}
    found["keeper_and_pid1_rss_mb"] = found["keeper_rss_mb"] + found["pid1_rss_mb"]
    found["keeper_and_pid1_pss_mb"] = found["keeper_pss_mb"] + found["pid1_pss_mb"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--idle", type=float, default=5.0, help="seconds to wait before looking")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON at the end")
    options = parser.parse_args()
    installed_runtime()
    with fresh_home() as home:
        (home / "runtime").symlink_to(runtime_home() / "runtime")
        house = House(home)
        try:
            house.seed()
            house.start()
            assert house.process is not None
            figures = {"bare_django_rss_mb": bare_django_mb(), "serve_fresh_rss_mb": rss_mb(house.process.pid)}
            house.ask("run: true")
            time.sleep(options.idle)
            figures |= {"serve_idle_rss_mb": rss_mb(house.process.pid), "serve_idle_pss_mb": pss_mb(house.process.pid)}
            figures["ratio_to_bare_django"] = figures["serve_idle_rss_mb"] / figures["bare_django_rss_mb"]
            figures |= sandbox(house)
            for _ in range(30):
                house.ask("hello")
            figures["serve_after_30_more_chats_rss_mb"] = rss_mb(house.process.pid)
        finally:
            house.close()
    for name, value in figures.items():
        print(f"{name:34} {value:7.1f}")  # noqa: T201
    report(figures, GOALS, as_json=options.json)


if __name__ == "__main__":
    main()
