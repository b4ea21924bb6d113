"""The table "What persists across what" of docs/operating.md, row by row, with a real sandbox and the real runtime.

Rows about copies and deletions are in tests/sandboxes/test_local_files_of_agents.py, the killed server in test_crash.py.
"""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from agents import agent_secrets, composition, souls
from agents.routes import route_of
from runs.models import Run
from sandboxes import drivers, lifecycle, reconciling, tasks
from sandboxes.models import Sandbox, State
from tests.journeys.house import House, keepers_of, until
from tests.journeys.sound import assert_sound

pytestmark = pytest.mark.runtime


@dataclass
class Before:
    """What an agent had before something was done."""

    keepers: list[int]
    marker: str
    starts: int
    sessions: int


def box_of(logos: House) -> Sandbox:
    return Sandbox.objects.get(agent_id=logos.agent_id)


def root_of(logos: House) -> Path:
    return logos.home / "agents" / box_of(logos).pk


def lived_in(logos: House, number: int) -> Before:
    """A sandbox with files in workspace and home, something the runtime remembers, and a process that runs."""
    marker = f"sleep {40_000 + number}"
    run = logos.ask(
        f"run: echo w{number} > kept; echo h{number} > ~/kept; mkdir -p /hermes/memories; echo m{number} > /hermes/memories/kept"
    )
    assert run.status == "completed"
    box = box_of(logos)

    async def leave_running() -> None:
        attachment = await drivers.get(box.driver).attach(box.driver_state)
        null = os.open("/dev/null", os.O_RDWR)
        await attachment.exec(marker.split(), stdio=(null, null, null))
        await attachment.close()
        os.close(null)

    asyncio.run(leave_running())
    until(lambda: logos.inside(marker), "the process runs")
    return Before(keepers_of(logos.home), marker, box.starts, _sessions(logos))


def _sessions(logos: House) -> int:
    return sum(path.stat().st_size for path in (root_of(logos) / "hermes").glob("*.db"))


def files_are_kept(logos: House, number: int, before: Before) -> bool:
    root = root_of(logos)
    kept = {name: (root / name).read_text() for name in ("workspace/kept", "home/kept", "hermes/memories/kept")}
    assert kept == {
        "workspace/kept": f"w{number}\n",
        "home/kept": f"h{number}\n",
        "hermes/memories/kept": f"m{number}\n",
    }
    return _sessions(logos) >= before.sessions > 0


def goes_on(logos: House, before: Before) -> bool:
    return keepers_of(logos.home) == before.keepers and bool(logos.inside(before.marker))


def was_started_anew(logos: House, before: Before) -> bool:
    assert box_of(logos).starts == before.starts + 1
    return keepers_of(logos.home) != before.keepers and not logos.inside(before.marker)


@pytest.mark.parametrize("what", ["soul", "toolsets", "model", "name"])
def test_what_bites_live_leaves_the_sandbox_and_what_runs_in_it(logos: House, what: str) -> None:
    before = lived_in(logos, 1)
    agent = logos.agent()
    if what == "soul":
        souls.revise(agent.soul, "You speak of teapots.", logos.admin)
    elif what == "toolsets":
        composition.change(logos.admin, agent, toolsets=["terminal"])
    elif what == "model":
        route = route_of(agent)
        route.context_length = 131_072
        route.save()
    else:
        composition.change(logos.admin, agent, name="atlas the second")

    run = logos.ask("run: cat /hermes/SOUL.md /hermes/config.yaml")

    assert_sound(run)
    assert run.status == "completed"
    assert goes_on(logos, before)
    assert files_are_kept(logos, 1, before)
    if what == "soul":
        assert "You speak of teapots." in (root_of(logos) / "managed" / "SOUL.md").read_text()
    if what == "model":
        assert "131072" in (root_of(logos) / "managed" / "config.yaml").read_text()


def test_a_secret_starts_it_anew_by_itself_once_nothing_goes_on_and_files_stay(logos: House) -> None:
    before = lived_in(logos, 2)
    running = logos.send("run: sleep 2; echo done-it")["id"]
    logos.until_event(running, "tool.started")
    agent_secrets.put(logos.admin, logos.agent(), "SOME_KEY", "a value of four words", always_given=True)

    assert tasks.reconcile() == "", "a run goes on"
    assert "done-it" in logos.ended(running).reply.text
    said = tasks.reconcile()

    assert said == "renew: 1"
    until(lambda: tasks.start_again(logos.agent_id) and box_of(logos).state == State.RUNNING, "it runs again")
    assert was_started_anew(logos, before)
    assert files_are_kept(logos, 2, before)
    assert logos.ask("run: printenv SOME_KEY | wc -c").status == "completed"


def test_stopped_and_started_files_stay_and_processes_end(logos: House) -> None:
    before = lived_in(logos, 3)
    run_id = logos.send("run: sleep 3456")["id"]
    logos.until_event(run_id, "tool.started")

    asyncio.run(_stop(logos))
    interrupted = logos.ended(run_id)
    assert interrupted.status in {"failed", "interrupted"}
    assert interrupted.error_code == "sandbox_disconnected"
    assert keepers_of(logos.home) == []
    assert box_of(logos).state == State.STOPPED
    after = logos.ask("run: cat kept ~/kept; ls /tmp")

    assert was_started_anew(logos, before)
    assert files_are_kept(logos, 3, before)
    assert "w3" in after.reply.text


def test_a_restart_of_logos_changes_nothing_in_the_sandbox(logos: House) -> None:
    before = lived_in(logos, 4)
    run_id = logos.send("run: sleep 1.5; echo done-it")["id"]
    logos.until_event(run_id, "tool.started")

    logos.terminate()
    logos.start()

    assert "done-it" in logos.ended(run_id).reply.text
    assert goes_on(logos, before)
    assert files_are_kept(logos, 4, before)


def test_after_the_machine_was_started_anew_it_comes_back_and_its_run_ends_honestly(logos: House) -> None:
    """Nothing is left of any process, and what was written down names the boot before."""
    before = lived_in(logos, 5)
    run_id = logos.send("run: sleep 3457")["id"]
    logos.until_event(run_id, "tool.started")
    logos.kill9()
    for keeper in before.keepers:
        os.kill(keeper, signal.SIGKILL)
    until(lambda: not logos.inside(before.marker), "everything inside has ended")
    box = box_of(logos)
    old = {each: {**box.driver_state[each], "boot": "the boot before"} for each in ("keeper", "init")}
    box.driver_state = {**box.driver_state, **old}
    box.boot_id = "the boot before"
    box.save()
    Run.objects.filter(pk=run_id).update(lease_owner=f"{os.uname().nodename[:30]}:{os.getpid()}:1.before")

    logos.start()

    run = logos.ended(run_id)
    assert_sound(run)
    assert (run.status, run.error_code) == ("interrupted", "sandbox_disconnected")
    assert box_of(logos).reason == "The machine was started anew."
    reconciling.reconcile()
    assert tasks.start_again(logos.agent_id) == box.pk
    assert box_of(logos).state == State.RUNNING
    assert box_of(logos).crashes == 0 or box_of(logos).crashes == box.crashes
    assert was_started_anew(logos, before)
    assert files_are_kept(logos, 5, before)
    assert logos.ask("run: cat kept").status == "completed"


async def _stop(logos: House) -> None:
    await lifecycle.stop(logos.agent_id)
