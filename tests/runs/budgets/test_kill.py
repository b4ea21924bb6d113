"""``kill -9`` at any moment: no call's money is lost, none counts twice, no budget is overdrawn.

``CRASH_KILLS`` says how often (default 12), ``CRASH_SEED`` at which moments. Each time a process with many calls under way is killed at a random moment,
and what it had passed on, by its own journal, is compared with the ledger.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import connections

from agents.models import ModelRoute, Provider
from runs.budgets import ledger
from runs.budgets.limits import Spender
from runs.budgets.purse import AHEAD
from runs.models import Basis, Budget, Charge, ChargeState
from sandboxes.claimants import process_name
from tests.runs.budgets.streams import TOKEN, Streams

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sweep]

KILLS = int(os.environ.get("CRASH_KILLS", "12"))
SEED = int(os.environ.get("CRASH_SEED", "7"))
AT_ONCE, LONGEST_S = 8, 0.4


def carry_calls(journal: int, spender: Spender, tokens: int) -> None:
    """What the process does that is killed: call after call, each part written down before it is passed on."""
    engine = Streams(process_name(), tokens)

    def passed(call_id: str, body: bytes) -> None:
        count = body.count(b'"content": "word"')
        os.write(journal, f"{call_id} {count} {int(b'[DONE]' in body)}\n".encode())

    async def without_end() -> None:
        lease = engine.lease(spender)
        while True:
            if not await engine.call(lease, passed):
                await asyncio.sleep(0.005)

    async def main() -> None:
        await asyncio.gather(*(without_end() for _ in range(AT_ONCE)))

    asyncio.run(main())


def killed(
    path: Path, spender: Spender, after_s: float, tokens: int
) -> tuple[Counter[str], set[str], dict[str, Charge]]:
    """Kill a process that carries calls; how many tokens of each call it passed on, which calls were whole, and what the
    ledger says of its calls once what was left is settled."""
    journal = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND)
    connections.close_all()
    pid = os.fork()
    if not pid:
        try:
            carry_calls(journal, spender, tokens)
        finally:
            os._exit(1)
    os.close(journal)
    started = time.monotonic()
    while not path.stat().st_size and time.monotonic() - started < 60:
        time.sleep(0.002)
    time.sleep(after_s)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    count, whole = Counter[str](), set[str]()
    for line in path.read_text().split("\n")[:-1]:  # what was cut off in the writing was not passed on
        call_id, tokens_passed, is_done = line.split()
        count[call_id] += int(tokens_passed)
        if is_done == "1":
            whole.add(call_id)
    ledger.settle_left_by_others(process_name())
    # By who carried them: the clock of a machine may be set back between two kills.
    return count, whole, {row.pk: row for row in Charge.objects.filter(holder__contains=f":{pid}:")}


def test_nothing_is_lost_and_nothing_counts_twice(spender: Spender, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    row = Budget.objects.create(scope="site", window="day", amount=Decimal(100))
    known, settled_before, ends = 0, 0, Counter[str]()

    for number in range(KILLS):
        tokens = chance.choice([3, 40, 700, 3_000])
        passed, whole, rows = killed(tmp_path / "journal", spender, chance.random() * LONGEST_S, tokens)

        known += len(rows)
        assert not Charge.objects.filter(state=ChargeState.OPEN).exists()
        assert set(passed) <= set(rows), "a call that passed something is in the ledger"
        for call_id, each in rows.items():
            used = passed[call_id] * TOKEN
            ends[each.basis] += 1
            assert used <= each.amount <= used + (AHEAD + 1) * TOKEN * 2, (number, call_id, each.basis)
            if each.basis in (Basis.USAGE, Basis.RECORD):
                assert call_id in whole
                assert each.amount == used
        total = sum(each.amount for each in rows.values())
        settled_before += total
        assert settled_before == sum(Charge.objects.values_list("amount", flat=True))
        assert settled_before <= row.amount * 10**9

    assert ends[Basis.HELD] >= KILLS // 2
    print(f"{KILLS} kills, {known} calls: {dict(ends)}")  # noqa: T201


@pytest.fixture
def free() -> ModelRoute:
    """A model that costs nothing, of the provider that is no more than a generator."""
    provider = Provider.objects.create(name="Here", kind="openai-compatible", base_url="http://127.0.0.1:9/v1")
    return ModelRoute.objects.create(provider=provider, model="free", price_input=0, price_output=0)


def test_nothing_is_lost_while_another_model_stands_in(spender: Spender, free: ModelRoute, tmp_path: Path) -> None:
    """Each time the budget has room for a little more: calls are cut, and go on with the other, at any moment."""
    chance = random.Random(SEED)
    row = Budget.objects.create(scope="site", window="day", amount=1, on_limit="fallback", fallback=free)
    known, total, paid, gratis = 0, 0, 0, 0

    for number in range(KILLS):
        room = chance.choice([0, 30, 900, 6_000]) * TOKEN
        Budget.objects.filter(pk=row.pk).update(amount=Decimal(total + room) / 10**9)
        tokens = chance.choice([3, 40, 700, 3_000])
        passed, whole, rows = killed(tmp_path / "journal", spender, chance.random() * LONGEST_S, tokens)

        known += len(rows)
        assert not Charge.objects.filter(state=ChargeState.OPEN).exists()
        assert set(passed) <= set(rows), "a call that passed something is in the ledger"
        for call_id, each in rows.items():
            if each.route_id == free.pk:
                gratis += 1
                assert each.amount == 0
                continue
            used = passed[call_id] * TOKEN
            paid += 1
            assert used <= each.amount <= used + (AHEAD + 1) * TOKEN * 2, (number, call_id, each.basis)
            if each.basis in (Basis.USAGE, Basis.RECORD) and call_id in whole:
                assert each.amount == used
        total += sum(each.amount for each in rows.values())
        assert total == sum(Charge.objects.values_list("amount", flat=True))
        assert total <= Budget.objects.get(pk=row.pk).amount * 10**9

    assert paid
    assert gratis
    print(f"{KILLS} kills, {paid} calls paid for, {gratis} for nothing, {total // TOKEN} tokens paid")  # noqa: T201
