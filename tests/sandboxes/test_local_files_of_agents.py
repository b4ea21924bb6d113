"""In real sandboxes: a copy has the original's files as its own, and of a deleted agent nothing is left on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync

from agents import composition, duplicating, retiring
from agents.models import Agent, Soul, User
from sandboxes import drivers, lifecycle, records, tasks
from sandboxes.driver import SandboxHandle, SandboxSpec
from sandboxes.execute import Completed, run
from sandboxes.local.driver import LocalDriver
from sandboxes.models import Sandbox, State
from tests.sandboxes.local_specs import local_spec

pytestmark = [pytest.mark.sandbox, pytest.mark.django_db(transaction=True)]


def spec_of(box: Sandbox) -> SandboxSpec:
    root = lifecycle.root_of(box.pk)
    for directory in (root.parent, root):
        directory.mkdir(mode=0o711, parents=True, exist_ok=True)
    uid = lifecycle.FIRST_UID + box.number if os.geteuid() == 0 else None
    return local_spec(root.parent, box.pk, uid=uid)


async def told(handle: SandboxHandle, script: str) -> Completed:
    attachment = await LocalDriver().attach(handle.state)
    try:
        return await run(attachment, ["sh", "-c", script])
    finally:
        await attachment.close()


async def lived(spec: SandboxSpec, script: str) -> str:
    """Start the sandbox, run ``script`` in it, end it."""
    handle = await LocalDriver().start(spec)
    try:
        done = await told(handle, script)
        assert done.code == 0, done.stderr
        return done.stdout.decode()
    finally:
        await LocalDriver().stop(handle.state, now=True)


@pytest.fixture
def box(atlas: Agent) -> Sandbox:
    """Atlas's sandbox, in which it has worked."""
    box = Sandbox.objects.create(agent=atlas, number=901, starts=1)
    script = """
    echo "The plan." > /workspace/plan.txt; mkdir -p /home/agent/bin; echo 'echo it runs' > /home/agent/bin/tool
    chmod 700 /home/agent/bin/tool; ln -s /etc/passwd /workspace/link; mkfifo /workspace/pipe
    mkdir -p /workspace/closed/in; chmod 000 /workspace/closed; mkdir /hermes/memories; echo Tea > /hermes/memories/MEMORY.md
    """
    async_to_sync(lived)(spec_of(box), script)
    return box


def test_a_copy_has_the_files_as_its_own(alice: User, atlas: Agent, soul: Soul, box: Sandbox) -> None:
    copy = duplicating.duplicate(alice, atlas, "second", parts=["files", "notes"], prepare=False)

    other = Sandbox.objects.get(agent=copy)
    assert other.state == State.STOPPED
    script = """
    cat /workspace/plan.txt /hermes/memories/MEMORY.md; /home/agent/bin/tool | head -1; readlink /workspace/link
    test ! -e /workspace/pipe && echo "Mine now." >> /workspace/plan.txt
    """
    said = async_to_sync(lived)(spec_of(other), script)

    assert said.split("\n") == ["The plan.", "Tea", "it runs", "/etc/passwd", ""]
    assert (lifecycle.root_of(box.pk) / "workspace/plan.txt").read_text() == "The plan.\n"


def test_of_a_deleted_agent_nothing_is_left(alice: User, atlas: Agent, box: Sandbox) -> None:
    root = lifecycle.root_of(box.pk)
    assert (root / "workspace/plan.txt").exists()

    retiring.delete(alice, atlas.pk)

    assert not root.exists()
    assert Path("/etc/passwd").exists()


def test_what_still_runs_unknown_to_anybody_is_ended_before_its_files_go(
    alice: User, atlas: Agent, soul: Soul, box: Sandbox
) -> None:
    handle = async_to_sync(LocalDriver().start)(spec_of(box))

    retiring.delete(alice, atlas.pk)

    assert async_to_sync(drivers.get("local").poll)(handle.state) is not None
    assert not lifecycle.root_of(box.pk).exists()
    assert records.leftovers() == []
    assert tasks.remove_files(composition.create(alice, "third", soul).pk) == "There is nothing to remove."
