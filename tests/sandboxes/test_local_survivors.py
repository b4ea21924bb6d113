"""Local sandboxes are found by their directory, also when their own note is gone, and those of others are not."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandboxes.driver import SandboxHandle
from sandboxes.local.driver import LocalDriver
from sandboxes.local.keeper import STATE_NAME
from tests.sandboxes.local_specs import local_spec

pytestmark = pytest.mark.sandbox


@pytest.fixture
def agents() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="logos-survivors-", dir="/var/tmp"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def start(root: Path) -> SandboxHandle:
    root.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    return asyncio.run(LocalDriver().start(local_spec(root.parent, root.name)))


def names(agents: Path) -> list[str]:
    return sorted(each.name for each in asyncio.run(LocalDriver().survivors(agents)))


def end(handle: SandboxHandle) -> None:
    asyncio.run(LocalDriver().stop(handle.state, now=True))


def test_only_what_lies_directly_below_is_found(agents: Path) -> None:
    ours, theirs = start(agents / "box_ours"), start(agents / "other" / "agents" / "box_theirs")
    try:
        (found,) = asyncio.run(LocalDriver().survivors(agents))
        assert (found.name, found.state) == ("box_ours", ours.state)
        assert 0 <= found.age_s < 60
        assert names(agents / "other" / "agents") == ["box_theirs"]
    finally:
        end(ours)
        end(theirs)
    assert names(agents) == []
    assert names(agents / "never made") == []


def test_a_keeper_whose_note_is_gone_is_found_and_can_be_ended(agents: Path) -> None:
    handle = start(agents / "box_ours")
    try:
        (agents / "box_ours" / "engine" / STATE_NAME).unlink()

        (found,) = asyncio.run(LocalDriver().survivors(agents))
        assert found.state["keeper"] == handle.state["keeper"]
        asyncio.run(LocalDriver().stop(found.state, now=True))
        assert asyncio.run(LocalDriver().poll(handle.state)) is not None
        assert names(agents) == []
    finally:
        end(handle)


def test_a_note_that_makes_no_sense_hides_nothing(agents: Path) -> None:
    handle = start(agents / "box_ours")
    try:
        (agents / "box_ours" / "engine" / STATE_NAME).write_text("[1, 2")
        assert names(agents) == ["box_ours"]
    finally:
        end(handle)
