"""A local sandbox that runs during one test, and what speaks to its keeper."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandboxes.driver import SandboxHandle, SandboxSpec
from sandboxes.execute import run
from sandboxes.local.driver import LocalDriver
from tests.sandboxes.local_specs import local_spec


@pytest.fixture
def spec(walkable_dir: Path) -> SandboxSpec:
    return local_spec(walkable_dir, listen=(8081,))


@pytest.fixture
async def handle(spec: SandboxSpec) -> AsyncIterator[SandboxHandle]:
    handle = await LocalDriver().start(spec)
    yield handle
    await LocalDriver().stop(handle.state, now=True)


def raw_client(handle: SandboxHandle) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.connect(handle.state["engine"] + "/keeper.sock")
    client.settimeout(60)
    return client


async def output_of(handle: SandboxHandle, *argv: str) -> bytes:
    attachment = await LocalDriver().attach(handle.state)
    done = await run(attachment, list(argv))
    await attachment.close()
    return done.stdout
