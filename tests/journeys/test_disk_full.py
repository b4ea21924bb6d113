"""The workspace's disk is full: the agent is told, nothing is stuck, and what is freed can be used."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandboxes import lifecycle, records
from tests.journeys.house import House
from tests.journeys.sound import assert_sound

pytestmark = [
    pytest.mark.runtime,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a workspace a small disk of its own"),
]


@pytest.fixture
def small_disk(logos: House) -> Iterator[str]:
    """An agent whose workspace is a disk of 20 MB."""
    agent = logos.api("POST", "/agents", json={"name": "narrow"})["id"]
    wanted = records.wanted(agent)
    workspace: Path = lifecycle.root_of(wanted.sandbox_id) / "workspace"
    workspace.mkdir(parents=True, mode=0o755)
    for directory in workspace.parents[:2]:
        directory.chmod(0o711)
    options = f"size=20m,mode=700,uid={lifecycle.FIRST_UID + wanted.number},gid={lifecycle.FIRST_UID + wanted.number}"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(workspace)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"no mount: {mounted.stderr.decode().strip()}")
    yield agent
    subprocess.run(["umount", "-l", str(workspace)], check=True)


def test_a_full_workspace_is_told_and_nothing_is_stuck(logos: House, small_disk: str) -> None:
    full = logos.ask("run: head -c 30000000 /dev/zero > big; ls -l big", agent=small_disk)
    note = logos.ask("write: note.txt = one more", talk=full.conversation_id)
    freed = logos.ask("run: rm big && echo there is room", talk=full.conversation_id)

    for run in (full, note, freed):
        assert_sound(run)
        assert run.status == "completed", run.error_message
    assert "No space left on device" in full.reply.text
    assert "there is room" in freed.reply.text
