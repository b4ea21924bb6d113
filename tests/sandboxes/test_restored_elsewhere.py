"""A database restored beside its original knows the original's sandboxes and must not touch them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agents.models import Agent
from sandboxes import drivers, lifecycle
from sandboxes.driver import SandboxSpec
from sandboxes.local.driver import LocalDriver
from sandboxes.models import Sandbox, State
from tests.fakes import FakeDriver


class ElsewhereDriver(FakeDriver):
    """Says of every recorded state that it is another installation's."""

    def is_of(self, state: Mapping[str, Any], root: Path) -> bool:
        return False


@pytest.mark.django_db(transaction=True)
async def test_stopping_the_copy_leaves_the_original_running(
    atlas: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = ElsewhereDriver()
    monkeypatch.setattr(drivers, "_made", {"elsewhere": driver})
    monkeypatch.setitem(drivers.FACTORIES, "elsewhere", lambda: driver)
    original = await driver.start(SandboxSpec("atlas", tmp_path))
    await Sandbox.objects.acreate(
        agent=atlas, number=1, driver="elsewhere", state=State.RUNNING, driver_state=dict(original.state)
    )

    await lifecycle.stop(atlas.pk, now=True)

    assert await driver.poll(original.state) is None
    assert (await lifecycle.wanted_of(atlas.pk, lifecycle.in_thread)).driver_state == {}
    await driver.stop(original.state, now=True)


def test_the_local_driver_knows_its_own_by_their_directory(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"

    assert LocalDriver().is_of({"engine": str(own / "engine")}, own)
    assert not LocalDriver().is_of({"engine": str(other / "engine")}, own)
    assert not LocalDriver().is_of({}, own)
