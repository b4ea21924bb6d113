"""The keeper: it outlives its starter, and takes the sandbox with it when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from sandboxes.driver import SandboxError, SandboxHandle, SandboxSpec
from sandboxes.execute import run
from sandboxes.local import processes
from sandboxes.local.driver import LocalDriver
from tests.sandboxes.keeping import handle as handle
from tests.sandboxes.keeping import output_of
from tests.sandboxes.keeping import spec as spec
from tests.sandboxes.local_specs import local_spec

pytestmark = pytest.mark.sandbox

PROJECT = Path(__file__).resolve().parents[2]


async def until_gone(process: dict[str, Any]) -> None:
    assert await asyncio.to_thread(processes.wait_gone, process, 60)


def content(path: str) -> bytes:
    return Path(path).read_bytes()


# Life and death

STARTER = """
import asyncio, json, os, signal, sys
from pathlib import Path
from sandboxes.local.driver import LocalDriver
from tests.sandboxes.keeping import handle as handle
from tests.sandboxes.keeping import output_of, raw_client
from tests.sandboxes.keeping import spec as spec
from tests.sandboxes.local_specs import local_spec
handle = asyncio.run(LocalDriver().start(local_spec(Path(sys.argv[1]))))
print(json.dumps(handle.state), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_a_sandbox_survives_the_death_of_its_starter(walkable_dir: Path) -> None:
    starter = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTER, str(walkable_dir), cwd=PROJECT, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await starter.communicate()
    assert starter.returncode == -signal.SIGKILL
    handle = SandboxHandle(state=json.loads(output))
    driver = LocalDriver()

    assert await driver.poll(handle.state) is None
    assert await output_of(handle, "echo", "alive") == b"alive\n"

    await driver.stop(handle.state)


async def test_when_the_keeper_is_killed_the_sandbox_ends_and_can_be_started_again(spec: SandboxSpec) -> None:
    driver = LocalDriver()
    first = await driver.start(spec)
    attachment = await driver.attach(first.state)

    os.kill(first.state["keeper"]["pid"], signal.SIGKILL)

    async with asyncio.timeout(60):
        await attachment.wait_gone()
    await until_gone(first.state["init"])
    assert await driver.poll(first.state) == 0
    await driver.stop(first.state)
    assert "keeper.sock" in os.listdir(first.state["engine"])  # stale
    second = await driver.start(spec)
    assert await output_of(second, "echo", "again") == b"again\n"
    with pytest.raises(SandboxError):
        await driver.attach(first.state)
    await driver.stop(second.state)
    await attachment.close()


STARTER_TO_BE_KILLED = """
import asyncio, sys
from pathlib import Path
from sandboxes.local.driver import LocalDriver
from tests.sandboxes.keeping import handle as handle
from tests.sandboxes.keeping import output_of, raw_client
from tests.sandboxes.keeping import spec as spec
from tests.sandboxes.local_specs import local_spec
print("starting", flush=True)
asyncio.run(LocalDriver().start(local_spec(Path(sys.argv[1]))))
asyncio.run(asyncio.sleep(100))
"""


async def test_a_starter_killed_in_the_middle_leaves_nothing_or_what_can_be_found(walkable_dir: Path) -> None:
    driver, spec = LocalDriver(), local_spec(walkable_dir)
    for delay_ms in (0, 15, 30, 45, 60, 120):
        starter = await asyncio.create_subprocess_exec(
            sys.executable, "-c", STARTER_TO_BE_KILLED, str(walkable_dir), cwd=PROJECT, stdout=asyncio.subprocess.PIPE
        )
        assert starter.stdout is not None
        assert await starter.stdout.readline() == b"starting\n"
        await asyncio.sleep(delay_ms / 1000)
        starter.kill()
        await starter.wait()

        handle = await started_in_the_end(driver, spec)
        await driver.stop(handle.state, now=True)


async def started_in_the_end(driver: LocalDriver, spec: SandboxSpec) -> SandboxHandle:
    """A keeper whose starter is dead answers until it notices, so that for a moment nothing is found nor started."""
    async with asyncio.timeout(120):
        while True:
            if (found := await driver.find(spec.root)) is not None:
                await driver.stop(found.state, now=True)
            try:
                return await driver.start(spec)
            except SandboxError as problem:
                if problem.reason != "sandbox_running":
                    raise
            await asyncio.sleep(0.05)


async def test_whatever_is_killed_and_whenever_the_next_start_works(spec: SandboxSpec) -> None:
    driver = LocalDriver()
    for delay_ms, victim in enumerate(("keeper", "init") * 6):
        handle = await driver.start(spec)
        attachment = await driver.attach(handle.state)
        working = [asyncio.create_task(run(attachment, ["sleep", "0.005"])) for _ in range(4)]
        await asyncio.sleep(delay_ms / 1000)

        os.kill(handle.state[victim]["pid"], signal.SIGKILL)

        async with asyncio.timeout(60):
            results = await asyncio.gather(*working, return_exceptions=True)
            await attachment.wait_gone()
        assert not [r for r in results if isinstance(r, BaseException) and not isinstance(r, SandboxError)]
        await attachment.close()


async def test_when_pid_1_is_killed_everybody_hears_of_it(spec: SandboxSpec) -> None:
    driver = LocalDriver()
    handle = await driver.start(spec)
    attachment = await driver.attach(handle.state)

    os.kill(handle.state["init"]["pid"], signal.SIGKILL)

    async with asyncio.timeout(60):
        await attachment.wait_gone()
    await until_gone(handle.state["keeper"])
    assert await driver.poll(handle.state) == 0
    assert "keeper.sock" not in os.listdir(handle.state["engine"])
    await attachment.close()


async def test_a_keeper_that_hangs_is_stopped_all_the_same(spec: SandboxSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = LocalDriver()
    handle = await driver.start(spec)
    monkeypatch.setattr("sandboxes.local.attachment.CONNECT_TIMEOUT_S", 0.1)
    os.kill(handle.state["keeper"]["pid"], signal.SIGSTOP)

    await driver.stop(handle.state)

    assert not processes.is_running(handle.state["init"])
    assert not processes.is_running(handle.state["keeper"])


async def test_stop_asks_first_and_insists_later(spec: SandboxSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandboxes.local.driver.GRACE_S", 4.0)
    driver = LocalDriver()
    handle = await driver.start(spec)
    attachment = await driver.attach(handle.state)
    polite = "trap 'echo asked > /workspace/asked; exit' TERM; echo ready; while :; do sleep 0.01; done"
    stubborn = "trap '' TERM; echo ready; while :; do sleep 1; done"
    output, stdout = os.pipe()
    for code in (polite, stubborn):
        await attachment.exec(["sh", "-c", code], stdio=(stdout, stdout, stdout))
        assert await asyncio.to_thread(os.read, output, 10) == b"ready\n"
    os.close(stdout)

    await driver.stop(handle.state)

    assert (spec.root / "workspace/asked").read_text() == "asked\n"
    while os.read(output, 100):  # its end comes when the last process that could write is gone
        pass
    os.close(output)
    await attachment.close()


async def test_a_cancelled_start_can_be_repeated_at_any_moment_of_it(spec: SandboxSpec) -> None:
    driver = LocalDriver()
    for delay_ms in (0, 10, 20, 30, 40, 50, 60, 80):
        starting = asyncio.create_task(driver.start(spec))
        await asyncio.sleep(delay_ms / 1000)
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await driver.stop((await starting).state, now=True)

    handle = await driver.start(spec)
    await driver.stop(handle.state, now=True)


async def test_the_path_may_be_longer_than_a_sockets_address(walkable_dir: Path) -> None:
    deep = walkable_dir / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    driver = LocalDriver()
    handle = await driver.start(local_spec(deep))

    assert await output_of(handle, "echo", "reached") == b"reached\n"

    await driver.stop(handle.state)


async def test_a_failure_is_explained_and_leaves_nothing(spec: SandboxSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandboxes.local.bwrap.COMMAND", ["/usr/bin/no-such-python"])
    with pytest.raises(SandboxError) as failed:
        await LocalDriver().start(spec)
    assert "no-such-python" in failed.value.detail

    monkeypatch.undo()

    handle = await LocalDriver().start(spec)
    await LocalDriver().stop(handle.state)


async def test_a_missing_wall_stops_the_start(spec: SandboxSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    from sandboxes.local import bwrap

    real = bwrap._walls
    monkeypatch.setattr(bwrap, "_walls", lambda *arguments: [*real(*arguments), "--share-net"])

    with pytest.raises(SandboxError) as failed:
        await LocalDriver().start(spec)

    assert failed.value.reason == "wall_missing"


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's sandbox keeps the user")
async def test_root_must_give_a_sandbox_a_user_of_its_own(walkable_dir: Path) -> None:
    for uid in (None, 0):
        with pytest.raises(SandboxError) as refused:
            await LocalDriver().start(local_spec(walkable_dir, uid=uid))
        assert refused.value.reason == "sandbox_user"


# Clients


async def test_no_secret_of_the_starter_reaches_keeper_or_sandbox(
    spec: SandboxSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGOS_SECRET_KEY", "very secret")
    handle = await LocalDriver().start(local_spec(spec.root.parent, environment={"TOKEN": "spec secret"}))

    for process in ("keeper", "init"):
        pid = handle.state[process]["pid"]
        for name in ("environ", "cmdline"):
            assert b"secret" not in content(f"/proc/{pid}/{name}")
    assert os.stat(handle.state["engine"] + "/keeper.sock").st_mode & 0o777 == 0o600

    await LocalDriver().stop(handle.state)
