"""The life of the real gateway: it outlives its starter, starts again, and may be killed from inside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from sandboxes.hermes import gateway
from sandboxes.hermes.configuration import HermesConfig
from sandboxes.hermes.events import Completed, StreamEnded
from sandboxes.hermes.runtime import Runtime
from tests.sandboxes.hermes.real_sandbox import RealSandbox, real_sandbox

pytestmark = pytest.mark.runtime

KILL_THE_RUNTIME = """
import glob, os, signal
for path in glob.glob("/proc/[0-9]*/cmdline"):
    with open(path, "rb") as file:
        if b"launch.py" in file.read():
            os.kill(int(path.split("/")[2]), signal.SIGKILL)
"""


@pytest.fixture
async def own(runtime: Runtime) -> AsyncIterator[RealSandbox]:
    """A sandbox of this test's own, because it does not survive it as others expect it."""
    async with real_sandbox(runtime, HermesConfig("scripted")) as started:
        yield started


async def test_the_gateway_goes_on_when_the_connection_that_started_it_closes(own: RealSandbox) -> None:
    await own.attachment.close()

    attachment = await own.driver.attach(own.handle.state)
    try:
        assert await gateway.is_alive(attachment, own.gateway.key)
    finally:
        await attachment.close()


async def test_starting_it_again_and_again_takes_no_longer_and_changes_the_key(own: RealSandbox) -> None:
    # The runtime of its own accord would sleep for ten seconds and more from the sixth start on.
    current, keys = own.gateway, {own.gateway.key}
    for _ in range(6):
        await current.stop(graceful=False)
        assert not await gateway.is_alive(own.attachment, current.key)
        current = await gateway.start(own.attachment, own.root)
        assert current.ready_s < 60
        keys.add(current.key)

    assert len(keys) == 7
    async with asyncio.timeout(30), gateway.client_for(own.attachment, current.key) as client:
        events = [event async for event in client.events(await client.start_run("hi", lane=1, session_id="again"))]
    assert isinstance(events[-1], Completed)


async def test_a_gateway_killed_by_its_own_tool_is_noticed(own: RealSandbox) -> None:
    script = own.root / "workspace/kill.py"
    script.write_text(KILL_THE_RUNTIME)
    script.chmod(0o644)

    async with asyncio.timeout(30), own.client() as client:
        run_id = await client.start_run("run: python3 /workspace/kill.py", lane=1, session_id="kill")
        events = [event async for event in client.events(run_id)]
        code = await own.gateway.wait()

    assert isinstance(events[-1], StreamEnded)
    assert code == -9
    assert not await gateway.is_alive(own.attachment, own.gateway.key)
    again = await gateway.start(own.attachment, own.root)
    assert await gateway.is_alive(own.attachment, again.key)


async def test_a_graceful_end_is_quick_when_nothing_runs(own: RealSandbox) -> None:
    async with asyncio.timeout(gateway.GRACE_S):
        code = await own.gateway.stop()

    assert code in (0, 1)  # the runtime calls an end by signal a failure
