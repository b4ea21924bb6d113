"""The fake driver keeps the contract, so tests above it may lean on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from sandboxes.driver import Mount, SandboxDriver, SandboxError, SandboxSpec
from tests.fakes import BadDriver, DyingDriver, FakeDriver, NeverDriver, SlowDriver
from tests.sandboxes.driver_contract import DriverContract


class TestFakeDriver(DriverContract):
    @pytest.fixture
    def new_driver(self) -> Callable[[], SandboxDriver]:
        return FakeDriver

    @pytest.fixture
    def spec(self, tmp_path: Path, listening_port: int) -> SandboxSpec:
        return plain_spec(tmp_path, listen=(listening_port,))


def plain_spec(directory: Path, listen: tuple[int, ...] = ()) -> SandboxSpec:
    root = directory / "atlas"
    mounts = (Mount(root / "workspace", "/workspace", writable=True),)
    return SandboxSpec("atlas", root, mounts, listen=listen, environment={"PATH": "/usr/bin:/bin"})


async def test_a_service_of_the_test_answers_a_dial(tmp_path: Path) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello " + await reader.readline())
        await writer.drain()

    driver = FakeDriver({8642: greet})
    handle = await driver.start(plain_spec(tmp_path))
    attachment = await driver.attach(handle.state)

    with await attachment.dial(8642) as connection:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, b"Ada\n")
        assert await loop.sock_recv(connection, 100) == b"hello Ada\n"

    await driver.stop(handle.state)


async def test_the_slow_driver_starts_when_it_may(tmp_path: Path) -> None:
    driver = SlowDriver()
    starting = asyncio.create_task(driver.start(plain_spec(tmp_path)))
    await driver.is_starting.wait()
    assert not starting.done()

    driver.may_start.set()

    await driver.stop((await starting).state)


async def test_the_never_driver_ends_only_by_cancellation(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await NeverDriver().start(plain_spec(tmp_path))


async def test_the_bad_driver_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SandboxError) as problem:
        await BadDriver().start(plain_spec(tmp_path))

    assert problem.value.action == "apt-get install bubblewrap"


async def test_the_dying_driver_dies_when_its_lives_are_used_up(tmp_path: Path) -> None:
    driver = DyingDriver(lives=1)
    handle = await driver.start(plain_spec(tmp_path))
    attachment = await driver.attach(handle.state)
    with pytest.raises(ConnectionRefusedError):
        await attachment.dial(1)

    with pytest.raises(SandboxError) as gone:
        await attachment.dial(1)

    assert gone.value.reason == "sandbox_disconnected"
    assert await driver.poll(handle.state) == 0
    await attachment.wait_gone()
