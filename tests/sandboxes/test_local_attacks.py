"""The mount-point attack across a restart: the agent leaves links behind, the next start must not follow them."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from sandboxes.driver import Mount, SandboxError, SandboxSpec
from sandboxes.execute import run
from sandboxes.local.driver import LocalDriver
from tests.sandboxes.local_specs import local_spec

pytestmark = pytest.mark.sandbox


async def inside(spec: SandboxSpec, code: str) -> int:
    driver = LocalDriver()
    handle = await driver.start(spec)
    attachment = await driver.attach(handle.state)
    done = await run(attachment, ["sh", "-c", code])
    await attachment.close()
    await driver.stop(handle.state, now=True)
    return done.code


async def test_a_link_left_for_the_next_start_makes_nothing_on_the_host(walkable_dir: Path) -> None:
    host = walkable_dir / "host"
    host.mkdir()
    host.chmod(0o777)
    free = local_spec(walkable_dir)
    assert await inside(free, f"ln -s /oldroot{host} /hermes/plugins && ln -s /oldroot{host}/made /hermes/.env") == 0

    fixed = local_spec(walkable_dir, files={"/hermes/.env": "x"}, empty_dirs=("/hermes/plugins",))
    with pytest.raises(SandboxError) as refused:
        await LocalDriver().start(fixed)

    assert refused.value.reason == "sandbox_mount_point"
    assert os.listdir(host) == []


async def test_a_configuration_below_a_directory_the_agent_can_rename_is_never_mounted(walkable_dir: Path) -> None:
    spec = local_spec(walkable_dir, files={"/home/agent/.hermes/config.yaml": "fixed"})

    with pytest.raises(SandboxError) as refused:
        await LocalDriver().start(spec)

    assert refused.value.reason == "sandbox_mount_point"
    assert not (walkable_dir / "atlas/engine").exists()


async def test_a_file_mount_follows_an_edit_in_place_and_the_agent_cannot_write_it(walkable_dir: Path) -> None:
    soul = walkable_dir / "SOUL.md"
    soul.write_text("first")
    soul.chmod(0o644)
    spec = local_spec(walkable_dir)
    spec = local_spec(walkable_dir, mounts=(*spec.mounts, Mount(soul, "/hermes/SOUL.md")))
    driver = LocalDriver()
    handle = await driver.start(spec)
    attachment = await driver.attach(handle.state)

    await asyncio.to_thread(soul.write_text, "second")

    assert (await run(attachment, ["cat", "/hermes/SOUL.md"])).stdout == b"second"
    assert (await run(attachment, ["sh", "-c", "echo mine > /hermes/SOUL.md"])).code != 0
    assert (await run(attachment, ["rm", "-f", "/hermes/SOUL.md"])).code != 0
    await attachment.close()
    await driver.stop(handle.state, now=True)
