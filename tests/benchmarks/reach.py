"""What one decision about an agent's reach costs with 1,000 rules.

    python -m tests.benchmarks.reach [--rules 1000] [--json]

The baseline is a set lookup of the host's name in the same loop: what no decision can be cheaper than.
"""

from __future__ import annotations

import argparse
import time

from agents.reach import Reach, parse
from tests.benchmarks.measuring import percentile, report

GOALS = {"decision_p50_us": ("<=", 200.0), "decision_p99_us": ("<=", 200.0)}


def rules(count: int) -> Reach:
    """Half exact names, half wildcards; every tenth for one program, every hundredth a denial."""
    return Reach(
        parse(
            [
                {
                    "name": f"rule {number}",
                    "hosts": [f"{'*.' if number % 2 else ''}host{number}.example.org"],
                    "ports": [443, 80],
                    "binaries": ["/usr/bin/git"] if number % 10 == 0 else [],
                    "effect": "deny" if number % 100 == 99 else "allow",
                }
                for number in range(count)
            ]
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rules", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    reach = rules(options.rules)
    asked = [f"{'www.' if n % 3 else ''}host{n % (options.rules * 2)}.example.org" for n in range(20_000)]
    known, took, base = set(asked[::2]), [], []
    for host in asked:
        started = time.perf_counter()
        host in known  # noqa: B015
        between = time.perf_counter()
        reach.decide(host, 443, "/usr/bin/curl")
        took.append((time.perf_counter() - between) * 1e6)
        base.append((between - started) * 1e6)
    figures = {
        "decision_p50_us": percentile(took, 0.5),
        "decision_p99_us": percentile(took, 0.99),
        "baseline_p50_us": percentile(base, 0.5),
        "decisions_per_s": 1e6 * len(took) / sum(took),
    }
    figures["ratio_to_baseline"] = figures["decision_p50_us"] / figures["baseline_p50_us"]
    for name, value in figures.items():
        print(f"{name:20} {value:12.2f}")  # noqa: T201
    report(figures, GOALS, as_json=options.json)


if __name__ == "__main__":
    main()
