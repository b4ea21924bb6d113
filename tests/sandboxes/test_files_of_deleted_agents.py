"""The task that removes a deleted agent's files: only then, only once its sandbox has ended, and as often as asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents import retiring
from agents.models import Agent, User
from runs.engine import Engine
from sandboxes import drivers, lifecycle, records, removal, tasks
from sandboxes.driver import SandboxSpec
from sandboxes.models import Sandbox, State
from tests.fakes import FakeDriver

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    fake = FakeDriver()
    monkeypatch.setattr(drivers, "_made", {})
    monkeypatch.setitem(drivers.FACTORIES, "fake", lambda: fake)
    return fake


@pytest.fixture
def box(atlas: Agent, driver: FakeDriver) -> Sandbox:
    """The agent's sandbox, stopped, with files."""
    sandbox = Sandbox.objects.create(agent=atlas, number=1, driver="fake")
    root = lifecycle.root_of(sandbox.pk)
    (root / "workspace").mkdir(parents=True)
    (root / "workspace" / "notes.txt").write_text("mine")
    return sandbox


def files(box: Sandbox) -> Path:
    return lifecycle.root_of(box.pk)


def test_deleting_an_agent_removes_its_files(alice: User, atlas: Agent, box: Sandbox) -> None:
    retiring.delete(alice, atlas.pk)

    assert not files(box).exists()
    box.refresh_from_db()
    assert box.files_removed_at is not None
    assert tasks.remove_files(atlas.pk) == "There is nothing to remove."


def test_archiving_one_removes_nothing(alice: User, atlas: Agent, box: Sandbox) -> None:
    retiring.archive(alice, atlas.pk)

    assert tasks.remove_files(atlas.pk) == "There is nothing to remove."
    assert (files(box) / "workspace" / "notes.txt").exists()


def test_files_stay_while_the_sandbox_runs_or_is_being_started(alice: User, atlas: Agent, box: Sandbox) -> None:
    Sandbox.objects.filter(pk=box.pk).update(state=State.RUNNING)
    retiring.delete(alice, atlas.pk)
    assert files(box).exists()

    Sandbox.objects.filter(pk=box.pk).update(state=State.STOPPED)
    records.claim(box.pk, State.STARTING)
    assert tasks.remove_files(atlas.pk) == "The sandbox has not ended yet."
    assert files(box).exists()


async def test_the_engine_ends_the_sandbox_and_then_has_the_files_removed(
    alice: User, atlas: Agent, box: Sandbox, driver: FakeDriver
) -> None:
    handle = await driver.start(SandboxSpec("atlas", files(box)))
    await Sandbox.objects.filter(pk=box.pk).aupdate(state=State.RUNNING, driver_state=dict(handle.state))
    await lifecycle.in_thread(retiring.delete, alice, atlas.pk)
    assert files(box).exists()

    engine = Engine()
    await engine._retire()
    await engine.stop()

    assert not files(box).exists()
    assert await driver.poll(handle.state) is not None


async def test_files_asked_for_while_it_was_being_started_are_asked_for_again_at_once(
    alice: User, atlas: Agent, box: Sandbox, driver: FakeDriver
) -> None:
    handle = await driver.start(SandboxSpec("atlas", files(box)))
    await Sandbox.objects.filter(pk=box.pk).aupdate(state=State.RUNNING, driver_state=dict(handle.state))
    await lifecycle.in_thread(retiring.delete, alice, atlas.pk)
    assert files(box).exists()

    engine = Engine()
    engine._asked_again[atlas.pk] = float("inf")
    await engine._retire()
    await engine.stop()

    assert not files(box).exists()
    assert await driver.poll(handle.state) is not None


async def test_the_engine_ends_the_sandbox_of_an_archived_agent_and_keeps_its_files(
    alice: User, atlas: Agent, box: Sandbox, driver: FakeDriver
) -> None:
    handle = await driver.start(SandboxSpec("atlas", files(box)))
    await Sandbox.objects.filter(pk=box.pk).aupdate(state=State.RUNNING, driver_state=dict(handle.state))
    await lifecycle.in_thread(retiring.archive, alice, atlas.pk)

    engine = Engine()
    await engine._retire()
    await engine.stop()

    assert await driver.poll(handle.state) is not None
    assert (files(box) / "workspace" / "notes.txt").exists()


def test_what_a_dying_process_left_running_is_ended_first(
    alice: User, atlas: Agent, box: Sandbox, driver: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = []

    async def find(root: Path) -> object:
        return type("Handle", (), {"state": {"root": str(root)}})

    async def stop(state: dict, *, now: bool = False) -> None:
        assert files(box).exists()
        ended.append(state["root"])

    monkeypatch.setattr(driver, "find", find)
    monkeypatch.setattr(driver, "stop", stop)

    retiring.delete(alice, atlas.pk)

    assert ended == [str(files(box))]
    assert not files(box).exists()


def test_a_disk_that_refuses_is_told_and_asked_again(
    alice: User, atlas: Agent, box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(removal, "remove", lambda *names: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        retiring.delete(alice, atlas.pk)

    box.refresh_from_db()
    assert (box.files_removed_at, box.reason) == (None, "The files could not be removed: Input/output error.")
    assert records.leftovers() == [atlas.pk]
    assert tasks.remove_files(atlas.pk) == "The files are removed."


async def test_an_archived_agents_sandbox_is_not_started(alice: User, atlas: Agent, box: Sandbox) -> None:
    await lifecycle.in_thread(retiring.archive, alice, atlas.pk)

    with pytest.raises(Exception, match="archived, so its sandbox stays stopped"):
        await lifecycle.ensure_running(atlas.pk)
