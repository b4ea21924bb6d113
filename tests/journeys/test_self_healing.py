"""A sandbox that fell silent, ended or was taken apart heals with the next message, and the person is told meanwhile."""

from __future__ import annotations

import os
import signal

import pytest

from runs.models import Run
from sandboxes import probing, tasks
from sandboxes.models import Sandbox, State
from sandboxes.next_step import MOST_SILENCES
from tests.journeys.house import House, keepers_of, until
from tests.journeys.sound import assert_sound

pytestmark = pytest.mark.runtime


def box_of(logos: House) -> Sandbox:
    return Sandbox.objects.get(agent_id=logos.agent_id)


def sentences(run: Run) -> list[str]:
    return [event.data["sentence"] for event in assert_sound(run) if event.kind == "sandbox.progress"]


def test_a_runtime_that_fell_silent_is_replaced_for_the_next_message(logos: House) -> None:
    logos.ask("run: true")
    starts = box_of(logos).starts
    for pid in logos.inside("launch.py"):
        os.kill(pid, signal.SIGSTOP)

    run = logos.ask("run: echo back again")

    assert run.status == "completed"
    assert sentences(run)[0] == "The sandbox has changed or does not answer any more: it is started anew"
    assert box_of(logos).starts == starts + 1
    assert len(keepers_of(logos.home)) == 1


def test_a_sandbox_that_was_killed_at_rest_is_started_with_words_for_the_waiting(logos: House) -> None:
    logos.ask("run: true")
    os.kill(box_of(logos).driver_state["keeper"]["pid"], signal.SIGKILL)
    until(lambda: box_of(logos).state == State.STOPPED, "the end is noted")
    assert box_of(logos).reason == "The sandbox ended by itself."

    run = logos.ask("run: echo back again")

    assert run.status == "completed"
    assert sentences(run) == ["Preparing the sandbox", "Starting the agent runtime"]


def test_what_stays_silent_is_started_anew_without_any_message(logos: House, monkeypatch: pytest.MonkeyPatch) -> None:
    logos.ask("run: true")
    before = box_of(logos)
    for pid in logos.inside("launch.py"):
        os.kill(pid, signal.SIGSTOP)

    monkeypatch.setattr(probing, "ANSWER_S", 0.5)
    for _ in range(MOST_SILENCES):
        probing.probe()
    assert box_of(logos).silences == MOST_SILENCES
    assert tasks.reconcile() == "revive: 1"

    until(lambda: box_of(logos).state == State.RUNNING, "it runs again")
    after = box_of(logos)
    assert (after.starts, after.silences) == (before.starts + 1, 0)
    assert logos.ask("run: echo alive").status == "completed"


def test_a_look_tells_what_a_real_sandbox_uses(logos: House) -> None:
    logos.ask("run: head -c 3000000 /dev/urandom > some-data")
    box = box_of(logos)
    box.samples.all().delete()

    probing.probe()

    seen = box.samples.get()
    assert 20 < seen.memory_mb < 2000
    assert seen.cpu_s > 0.1
    assert seen.processes >= 2
    assert seen.disk_mb is not None
    assert seen.disk_mb >= 2.8
    assert seen.latency_ms is not None
    assert {"agent runtime", "keeper", "bubblewrap", "kernel"} <= set(box.versions)
