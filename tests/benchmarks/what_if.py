"""How long a draft of a policy takes over recorded connections, beside reading the same rows and nothing else.

``python -m tests.benchmarks.what_if [--connections 100000] [--agents 20] [--kinds 400]``
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from datetime import timedelta
from typing import Any


def measure(connections: int, agents: int, kinds: int) -> dict[str, float]:
    """Seconds of the replay, of the bare aggregation in SQL, and of fetching every row; on a database of its own."""
    from django.utils import timezone

    from agents import policies, rule_lines, souls
    from agents.models import Agent, Role, User
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
    EgressDecision.objects.bulk_create(
        (
            EgressDecision(
                id=f"egress_{number:026d}",
                agent=owned[number % agents],
                host=f"host-{number % kinds}.example.org",
                port=443,
                binary=f"/usr/bin/program-{number % 3}",
                allowed=True,
                at=now - timedelta(seconds=number % 600_000),
            )
            for number in range(connections)
        ),
        batch_size=5_000,
    )
    draft = what_if.drafted(policy, policies.clean_rules(rule_lines.read("host-1.example.org")))
    took: dict[str, float] = {}

    def timed(name: str, work: Any) -> Any:
        began = time.perf_counter()
        result = work()
        took[name] = time.perf_counter() - began
        return result

    outcome = timed("replay_s", lambda: what_if.replay(ada, policy, draft, 30))
    timed("fetch_every_row_s", lambda: list(EgressDecision.objects.values_list("agent_id", "host", "port", "binary")))
    assert outcome.connections == connections
    took["kinds"] = float(EgressDecision.objects.values("agent_id", "host", "port", "binary").distinct().count())
    took["ratio"] = took["replay_s"] / took["fetch_every_row_s"]
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=100_000)
    parser.add_argument("--agents", type=int, default=20)
    parser.add_argument("--kinds", type=int, default=400)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["LOGOS_HOME"] = home
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "logos_site.settings")
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        for name, value in measure(given.connections, given.agents, given.kinds).items():
            print(f"{name:24} {value:10.3f}")  # noqa: T201


if __name__ == "__main__":
    main()
