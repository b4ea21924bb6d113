"""Whatever is killed whenever: nothing is left over, nothing is stuck, and no message is lost.

``kill -9`` of the keeper, PID 1, the runtime, ``serve`` or ``qcluster`` at random moments while runs go on, under the
supervisor of ``up``. CHAOS_ROUNDS and CHAOS_SEED choose how often and which moments.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.plugin import DjangoDbBlocker

from agents import composition
from agents.models import Agent
from runs import dispatch
from runs.models import ACTIVE, Run
from sandboxes import drivers, reconciling, records
from sandboxes.models import Sandbox, State
from tests.journeys.house import PROJECT, House, a_house, environment, keepers_of, processes_of, until
from tests.journeys.sound import assert_sound

pytestmark = [pytest.mark.runtime, pytest.mark.timeout(3000)]

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "5"))
SEED = int(os.environ.get("CHAOS_SEED", "20261121"))
# A machine that is busy otherwise takes half a minute to start a runtime; what is stuck stays so for ever.
PATIENCE_S = 180.0
TARGETS = ("keeper", "PID 1", "runtime", "serve", "qcluster", "a worker of qcluster")
HONEST = {"sandbox_disconnected", "sandbox_unavailable"}
TEXT = "think: about it\nrun: echo x >> round-{0}; sleep 0.3\nthen run: echo y >> round-{0}\nslow: 4ms"


class Watched(House):
    """A house whose processes are kept running by the supervisor of ``up``."""

    def start(self, *, wait: bool = True) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.journeys.supervised", str(self.port)],
                cwd=PROJECT, env=environment(self.home, **self.settings), stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        until(self.is_served, "serve is up", 60.0)
        until(lambda: self.pids("qcluster"), "qcluster is up", 60.0)

    def is_served(self) -> bool:
        with contextlib.suppress(Exception):
            return self.http.get("/readyz").status_code == 200
        return False

    def pids(self, word: str) -> list[int]:
        """The processes of ours that run this command, the first of them before its children."""
        return sorted(pid for pid, words in processes_of(self.home).items() if f"manage.py {word}" in words)


@pytest.fixture(scope="module")
def house(django_db_blocker: DjangoDbBlocker) -> Iterator[Watched]:
    with django_db_blocker.unblock(), a_house() as plain:
        watched = Watched(plain.home)
        watched.http.headers.update(plain.http.headers)
        watched.admin, watched.agent_id, watched.soul = plain.admin, plain.agent_id, plain.soul
        watched.start()
        try:
            yield watched
        finally:
            watched.terminate()
            watched.http.close()


def victims(house: Watched, target: str, box: Sandbox | None) -> list[int]:
    """The processes this target may mean right now."""
    if target == "serve":
        return house.pids("serve")
    if target == "qcluster":
        return house.pids("qcluster")[:1]
    if target == "a worker of qcluster":
        return house.pids("qcluster")[1:]
    if box is None or not box.driver_state:
        return []
    if target == "runtime":
        return house.inside("launch.py")
    return [box.driver_state["keeper" if target == "keeper" else "init"]["pid"]]


def kill_one(house: Watched, target: str, choice: random.Random, agents: list[Agent]) -> bool:
    box = Sandbox.objects.filter(agent=choice.choice(agents)).first()
    found = victims(house, target, box)
    with contextlib.suppress(ProcessLookupError):
        if found:
            os.kill(choice.choice(found), signal.SIGKILL)
            return True
    return False


def has_honest_end(run: Run) -> bool:
    if run.status == "completed":
        return True
    return run.status in {"interrupted", "failed"} and run.error_code in HONEST and bool(run.error_message)


def test_killed_at_random_moments_nothing_is_left_over_or_stuck_or_lost(house: Watched) -> None:
    choice = random.Random(SEED)
    other = composition.create(house.admin, "second", house.soul)
    agents = [house.agent(), other]
    for agent in agents:
        first = dispatch.start(house.admin, "run: true", agent=agent).run
        assert house.ended(first.pk, PATIENCE_S).status == "completed"
    ends: Counter[tuple[str, str]] = Counter()
    killed: Counter[str] = Counter()
    slowest = 0.0

    for number in range(ROUNDS):
        target = choice.choice(TARGETS)
        said = {
            dispatch.start(house.admin, TEXT.format(f"{number}-{index}"), agent=agent).run.pk: index
            for index, agent in enumerate(agents)
        }
        time.sleep(choice.uniform(0.0, 1.2))
        killed[target] += kill_one(house, target, choice, agents)
        began = time.monotonic()
        for run_id, index in said.items():
            run = house.ended(run_id, PATIENCE_S)
            assert_sound(run)
            assert run.message.text == TEXT.format(f"{number}-{index}")
            assert has_honest_end(run), f"round {number}, {target}: {run.status} {run.error_code} {run.error_message}"
            assert_no_tool_ran_twice(house, agents[index], f"round-{number}-{index}")
            ends[target, run.status] += 1
        slowest = max(slowest, time.monotonic() - began)

    tell(f"seed {SEED}, {ROUNDS} rounds, {sum(killed.values())} kills {dict(killed)}, slowest end {slowest:.1f} s")
    for (target, status), count in sorted(ends.items()):
        tell(f"  {target}: {status} {count}")
    assert sum(killed.values()) >= ROUNDS * 0.8
    until(house.is_served, "serve is up", PATIENCE_S)
    until(lambda: settled(house), "everything is settled", PATIENCE_S)
    assert not Run.objects.filter(status__in=ACTIVE).exists()
    for agent in agents:
        run = house.ended(dispatch.start(house.admin, "run: echo alive", agent=agent).run.pk, PATIENCE_S)
        assert run.status == "completed", run.error_message
    until(lambda: not strays(house), "nothing is left over", PATIENCE_S)


def tell(line: str) -> None:
    """Shown when the test fails, and with -s."""
    sys.stdout.write(f"{line}\n")


def assert_no_tool_ran_twice(house: Watched, agent: Agent, name: str) -> None:
    root = house.home / "agents" / Sandbox.objects.get(agent=agent).pk
    path = root / "workspace" / name
    lines = path.read_text().splitlines() if path.exists() else []
    assert lines == ["x", "y"][: len(lines)], f"{name}: {lines}"


def settled(house: Watched) -> bool:
    """Every row says what is, and nobody dead holds one."""
    reconciling.reconcile()
    reconciling.sweep()
    return all(is_settled(box) for box in Sandbox.objects.all()) and not strays(house)


def is_settled(box: Sandbox) -> bool:
    if box.state == State.STARTING or (box.claimed_until is not None and not records.is_held(box.pk)):
        return False
    is_alive = asyncio.run(drivers.get(box.driver).poll(box.driver_state)) is None
    return is_alive == (box.state == State.RUNNING)


def strays(house: Watched) -> dict[int, str]:
    """Processes of this home that belong neither to the supervisor nor to a sandbox whose row says it runs."""
    assert house.process is not None
    known = {house.process.pid, os.getpid()}
    for box in Sandbox.objects.filter(state=State.RUNNING):
        known.add(box.driver_state["keeper"]["pid"])
    parents = {int(entry.name): _parent(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    left = {}
    for pid, words in {**processes_of(house.home), **dict.fromkeys(keepers_of(house.home), "keeper")}.items():
        above = pid
        while above not in known and above > 1:
            above = parents.get(above, 0)
        if above not in known and pid in parents:
            left[pid] = words
    return left


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0
