"""What many sandboxes at once cost: started, idle, and all of them answering at the same moment.

    python -m tests.benchmarks.many [--sandboxes 20] [--idle 30] [--json]

The real server, the real runtime in as many real sandboxes, the rehearsal model. First each agent answers once, one
after another; then nobody asks anything; then every agent is sent a message at once, twice: a word, and a command. The
baseline is the same message to one agent while the others idle. Memory divides shared pages by their users, so that
sums are true. It cannot tell what a real model adds, and the callers share the machine with what they measure.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ThreadPoolExecutor

from tests.benchmarks.measuring import fresh_home, percentile, pss_mb, report
from tests.journeys.house import House, keepers_of, manage, processes_of
from tests.sandboxes.hermes.installed import installed_runtime, runtime_home

GOALS = {"idle_cpu_percent_per_sandbox": ("<=", 1.0), "together_word_p95_s": ("<=", 20.0)}
TICKS = os.sysconf("SC_CLK_TCK")


def agents_of(house: House, count: int) -> list[str]:
    from agents import composition

    return [house.agent_id, *(composition.create(house.admin, f"many-{n}", house.soul).pk for n in range(1, count))]


def cpu_s(pids: set[int]) -> float:
    """The processor time of these processes; what has ended meanwhile counts as nothing."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", "rb") as stat:
                fields = stat.read().rpartition(b") ")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def weight(house: House) -> dict[str, float]:
    """What belongs to sandboxes, in all and each; the server apart."""
    assert house.process is not None
    sandboxed = ({*processes_of(house.home)} | {*keepers_of(house.home)}) - {house.process.pid}
    sizes = []
    for pid in sandboxed:
        try:
            sizes.append(pss_mb(pid))
        except (OSError, StopIteration):
            continue  # it has ended
    return {"sandboxes_pss_mb": sum(sizes), "processes": float(len(sizes)), "serve_pss_mb": pss_mb(house.process.pid)}


def idle(house: House, seconds: float) -> dict[str, float]:
    assert house.process is not None
    pids = ({*processes_of(house.home)} | {*keepers_of(house.home)}) - {house.process.pid}
    before, served = cpu_s(pids), cpu_s({house.process.pid})
    time.sleep(seconds)
    return {
        "idle_cpu_percent": (cpu_s(pids) - before) / seconds * 100,
        "idle_serve_cpu_percent": (cpu_s({house.process.pid}) - served) / seconds * 100,
    }


def answered(house: House, agent: str, text: str) -> float:
    """The seconds until the agent had answered."""
    began = time.perf_counter()
    *_, last = house.stream(house.send(text, agent=agent)["id"])
    assert last["kind"] == "run.completed", last
    return time.perf_counter() - began


def together(house: House, agents: list[str], text: str, name: str) -> dict[str, float]:
    alone = percentile([answered(house, agents[0], text) for _ in range(5)], 0.5)
    began = time.perf_counter()
    with ThreadPoolExecutor(len(agents)) as pool:
        times = list(pool.map(lambda agent: answered(house, agent, text), agents))
    return {
        f"alone_{name}_p50_s": alone,
        f"together_{name}_p50_s": percentile(times, 0.5),
        f"together_{name}_p95_s": percentile(times, 0.95),
        f"together_{name}_all_s": time.perf_counter() - began,
    }


def measured(house: House, count: int, idle_s: float) -> dict[str, float]:
    agents = agents_of(house, count)
    house.start()
    began = time.perf_counter()
    for agent in agents:
        answered(house, agent, "hello")
    figures = {"sandboxes": float(count), "first_answer_each_s": (time.perf_counter() - began) / count}
    figures |= weight(house) | idle(house, idle_s)
    figures["pss_mb_per_sandbox"] = figures["sandboxes_pss_mb"] / count
    figures["idle_cpu_percent_per_sandbox"] = figures["idle_cpu_percent"] / count
    figures |= together(house, agents, "hello", "word")
    figures |= together(house, agents, "run: true", "command")
    after = weight(house)
    return figures | {f"{name}_after": after[name] for name in ("sandboxes_pss_mb", "serve_pss_mb")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sandboxes", type=int, default=20)
    parser.add_argument("--idle", type=float, default=30.0, help="seconds in which nobody asks anything")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON at the end")
    options = parser.parse_args()
    installed_runtime()
    with fresh_home() as home:
        (home / "runtime").symlink_to(runtime_home() / "runtime")
        manage(home, "collectstatic", "--noinput", "--verbosity", "0")
        house = House(home)
        try:
            house.seed()
            figures = measured(house, options.sandboxes, options.idle)
        finally:
            house.close()
    for name, value in figures.items():
        print(f"{name:32} {value:9.2f}")  # noqa: T201
    report(figures, GOALS, as_json=options.json)


if __name__ == "__main__":
    main()
