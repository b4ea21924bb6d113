"""What becomes of the sandbox and the runs of an agent that is deleted while they go on."""

from __future__ import annotations

from pathlib import Path

import pytest
from asgiref.sync import sync_to_async

from agents.models import Agent, User
from runs import dispatch, work
from runs.engine import Engine
from sandboxes import drivers, lifecycle, records
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


async def settled(agent: Agent, driver: FakeDriver, root: Path) -> Sandbox:
    """The agent's sandbox, running."""
    handle = await driver.start(SandboxSpec("atlas", root))
    return await Sandbox.objects.acreate(
        agent=agent, number=1, driver="fake", state=State.RUNNING, driver_state=dict(handle.state)
    )


async def test_its_sandbox_is_ended_by_the_engine(atlas: Agent, driver: FakeDriver, tmp_path: Path) -> None:
    sandbox = await settled(atlas, driver, tmp_path)
    await sync_to_async(atlas.mark_deleted)()

    engine = Engine()
    await engine._retire()

    await sandbox.arefresh_from_db()
    assert sandbox.state == State.STOPPED
    assert await driver.poll(sandbox.driver_state) is not None
    assert await sync_to_async(records.retired)() == []
    await engine.stop()


async def test_a_living_agents_sandbox_is_left_alone(atlas: Agent, driver: FakeDriver, tmp_path: Path) -> None:
    sandbox = await settled(atlas, driver, tmp_path)

    engine = Engine()
    await engine._retire()

    assert await driver.poll(sandbox.driver_state) is None
    await engine.stop()
    await lifecycle.stop(atlas.pk, now=True)


def test_what_it_still_does_is_asked_to_stop(alice: User, atlas: Agent) -> None:
    run = dispatch.start(alice, "Hello", agent=atlas).run

    work.stop_all_of(atlas.pk)

    run.refresh_from_db()
    assert run.cancel_requested_at is not None


async def test_stopping_a_sandbox_that_never_was_is_not_an_error(atlas: Agent) -> None:
    await lifecycle.stop(atlas.pk)

    assert not await Sandbox.objects.aexists()
