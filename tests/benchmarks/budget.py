"""A thousand streams on one budget: where the total ends, and what reserving and settling add to each chunk.

    python -m tests.benchmarks.budget [--streams 1000] [--json]

One process: the real router, relay and ledger on SQLite, and a provider that is a generator. The streams ask for twice
what the budget has. For the time per chunk the same calls are carried with and without a purse, in turns, with room for
all; the difference is what budgets add. It cannot tell what sockets and TLS add (nothing that depends on budgets).
"""

from __future__ import annotations

import argparse
import asyncio
from decimal import Decimal
from statistics import median
from time import perf_counter

from tests.benchmarks.measuring import fresh_home, report

GOALS = {
    "spent_usd_at_least": (">=", 4.95),
    "spent_usd_at_most": ("<=", 5.00001),
    "added_per_chunk_ms": ("<=", 0.2),
}
TOKENS, BUDGET = 1_000, Decimal(5)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--streams", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with fresh_home():
        from tests.benchmarks.budget_world import spender

        figures = asyncio.run(_measure(spender(BUDGET), options.streams, options.rounds))
        report(figures, GOALS, as_json=options.json)


async def _measure(who: tuple, streams: int, rounds: int) -> dict[str, float]:
    from tests.benchmarks.budget_world import spent
    from tests.runs.budgets.streams import Streams

    spender, other = who
    with_budgets, without = [], []
    for _ in range(rounds):
        for times, is_paid in ((with_budgets, True), (without, False)):
            engine = Streams("benchmark:1:1", 200, with_budgets=is_paid)
            lease = engine.lease(other)
            began = perf_counter()
            await asyncio.gather(*(engine.call(lease) for _ in range(100)))
            times.append((perf_counter() - began) * 1000 / (100 * 202))
            await engine.close()
    added = median(with_budgets) - median(without)

    per_stream = int(2 * BUDGET * 100_000 / streams)
    engine = Streams("benchmark:1:1", per_stream)
    lease = engine.lease(spender)
    began = perf_counter()
    passed = await asyncio.gather(*(engine.call(lease) for _ in range(streams)))
    took_s = perf_counter() - began
    await engine.close()
    total = await asyncio.to_thread(spent)
    print(f"{streams} streams, {sum(passed):,} tokens passed in {took_s:.1f} s, ${total:.5f} of ${BUDGET}")  # noqa: T201
    print(f"per chunk {median(with_budgets):.4f} ms with, {median(without):.4f} ms without a budget")  # noqa: T201
    return {
        "spent_usd_at_least": total,
        "spent_usd_at_most": total,
        "passed_usd": sum(passed) / 100_000,
        "added_per_chunk_ms": added,
        "seconds": took_s,
    }


if __name__ == "__main__":
    main()
