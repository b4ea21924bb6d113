"""How long the time machine takes over a million recorded decisions.

    python -m tests.benchmarks.time_machine [--decisions 1000000] [--agents 50] [--kinds 2000] [--json]

The baseline is fetching every row and deciding nothing. It cannot tell what other work on the machine costs it.
"""

from __future__ import annotations

import argparse
import time
from datetime import timedelta
from typing import Any

from tests.benchmarks.measuring import fresh_home, report

GOALS = {"replay_s": ("<=", 60.0), "mismatches": ("<=", 0.0)}
CHECKED = 20_000


def measure(decisions: int, agents: int, kinds: int) -> dict[str, float]:
    """Seconds of the replay and of the baseline; and how many of some decisions the live evaluator decides otherwise."""
    from django.utils import timezone

    from agents import policies, rule_lines, souls
    from agents.models import Agent, Role, User
    from agents.reaching import reach_of
    from sandboxes import what_if
    from sandboxes.models import EgressDecision

    ada = User.objects.create_user("ada", role=Role.ADMIN)
    soul = souls.create("Plain", "You are calm.", ada)
    lines = "\n".join(f"host-{number}.example.org" for number in range(kinds // 2))
    policy = policies.create(ada, "Reach", rule_lines.read(lines))
    owned = [Agent.objects.create(name=f"Agent {number}", owner=ada, soul=soul) for number in range(agents)]
    for agent in owned:
        agent.policies.add(policy)
    now = timezone.now()
    for start in range(0, decisions, 50_000):
        EgressDecision.objects.bulk_create(
            (
                EgressDecision(
                    id=f"conn_{number:026d}", agent=owned[number % agents], host=f"host-{number % kinds}.example.org",
                    port=443, binary=f"/usr/bin/program-{number % 3}", allowed=True, run_id=f"run_{number // 40:026d}",
                    at=now - timedelta(seconds=number % 600_000),
                )
                for number in range(start, min(start + 50_000, decisions))
            ),
            batch_size=5_000,
        )  # fmt: skip
    draft = what_if.drafted(policy, policies.clean_rules(rule_lines.read("host-1.example.org")))
    took: dict[str, float] = {}

    def timed(name: str, work: Any) -> Any:
        began = time.perf_counter()
        result = work()
        took[name] = time.perf_counter() - began
        return result

    outcome = timed("replay_s", lambda: what_if.replay(ada, policy, draft, 30))
    rows = EgressDecision.objects.values_list("agent_id", "host", "port", "binary")
    timed("fetch_every_row_s", lambda: sum(1 for _ in rows.order_by().iterator(5_000)))
    assert outcome.connections == decisions
    reaches = {agent.pk: reach_of(agent) for agent in owned}
    live = sum(bool(reaches[agent].decide(*asked)) for agent, *asked in rows.order_by("pk")[:CHECKED])
    then = sum(
        each[1] in {f"host-{n}.example.org" for n in range(kinds // 2)} for each in rows.order_by("pk")[:CHECKED]
    )
    took["mismatches"] = float(abs(live - then))
    took["decisions"] = float(decisions)
    took["decisions_per_s"] = decisions / took["replay_s"]
    took["ratio"] = took["replay_s"] / took["fetch_every_row_s"]
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--agents", type=int, default=50)
    parser.add_argument("--kinds", type=int, default=2_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with fresh_home():
        figures = measure(given.decisions, given.agents, given.kinds)
    for name, value in figures.items():
        print(f"{name:20} {value:14.3f}")  # noqa: T201
    report(figures, GOALS, as_json=given.json)


if __name__ == "__main__":
    main()
