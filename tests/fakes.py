"""Drivers for tests, named after how they behave: Fake, Slow, Never, Bad and Dying.

``FakeDriver`` keeps every verb of the contract with nothing but a directory and ordinary subprocesses. What it
cannot prove: that anything is isolated (commands see the whole machine), that listeners are invisible outside,
that limits bind, that a sandbox outlives this process. ``dial`` reaches ``services`` first: a port given there
is answered by a coroutine of the test, in memory.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from sandboxes.driver import (
    Attachment,
    Check,
    Execution,
    SandboxDriver,
    SandboxError,
    SandboxHandle,
    SandboxSpec,
    Survivor,
)

Service = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_numbers = itertools.count(1)
# The pretended machine: outlives driver objects, as real sandboxes do.
_running: dict[int, FakeSandbox] = {}


def disconnected() -> SandboxError:
    return SandboxError("The sandbox is not running.", reason="sandbox_disconnected", permanent=False)


class FakeSandbox:
    def __init__(self, spec: SandboxSpec, services: Mapping[int, Service]) -> None:
        self.number = next(_numbers)
        self.spec = spec
        self.services = dict(services)
        self.attachments: set[FakeAttachment] = set()
        self.groups: set[int] = set()
        self.listeners_with: FakeAttachment | None = None
        self.listeners = {port: _listen(port) for port in spec.listen}
        self.directory_of(spec.root).mkdir(parents=True, exist_ok=True)
        for mount in spec.mounts:
            if mount.writable:
                mount.source.mkdir(parents=True, exist_ok=True)

    @staticmethod
    def directory_of(root: Path) -> Path:
        return root / "engine"

    def path(self, inside: str) -> Path:
        """Where a path of the sandbox lies on this machine, as far as a writable mount shows it."""
        for mount in self.spec.mounts:
            if inside == mount.target or inside.startswith(mount.target + "/"):
                return mount.source / inside[len(mount.target) :].lstrip("/")
        return self.spec.root

    def end(self) -> None:
        _running.pop(self.number, None)
        for group in self.groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for listener in self.listeners.values():
            listener.close()
        for attachment in list(self.attachments):
            attachment.told_gone()


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    return listener


class FakeDriver(SandboxDriver):
    name = "fake"
    isolates: frozenset[str] = frozenset()
    age_s = 3600.0

    def __init__(self, services: Mapping[int, Service] | None = None) -> None:
        self.services: dict[int, Service] = dict(services or {})
        self.started: list[SandboxSpec] = []

    async def start(self, spec: SandboxSpec) -> SandboxHandle:
        if any(sandbox.spec.root == spec.root for sandbox in _running.values()):
            raise SandboxError("The sandbox is already running.", reason="sandbox_running", permanent=False)
        sandbox = FakeSandbox(spec, self.services)
        _running[sandbox.number] = sandbox
        try:
            await asyncio.sleep(0)  # a moment in which a start can be cancelled
        except BaseException:
            sandbox.end()
            raise
        self.started.append(spec)
        return SandboxHandle(state={"number": sandbox.number}, layers=())

    async def poll(self, state: Mapping[str, Any]) -> int | None:
        return None if state.get("number") in _running else 0

    async def stop(self, state: Mapping[str, Any], *, now: bool = False) -> None:
        if (sandbox := _running.get(state.get("number", 0))) is not None:
            sandbox.end()

    async def attach(self, state: Mapping[str, Any]) -> Attachment:
        if (sandbox := _running.get(state.get("number", 0))) is None:
            raise disconnected()
        return FakeAttachment(sandbox)

    async def find(self, root: Path) -> SandboxHandle | None:
        found = [sandbox for sandbox in _running.values() if sandbox.spec.root == root]
        return SandboxHandle(state={"number": found[0].number}) if found else None

    async def survivors(self, agents: Path) -> list[Survivor]:
        ours = [sandbox for sandbox in _running.values() if sandbox.spec.root.parent == agents]
        return [Survivor(box.spec.root.name, {"number": box.number}, self.age_s) for box in ours]

    async def doctor(self) -> list[Check]:
        return [Check("isolation", False, "the fake driver isolates nothing; it is for tests", mandatory=False)]

    def kill(self, state: Mapping[str, Any]) -> None:
        """What a crash looks like: every process gone, nobody asked."""
        _running[state["number"]].end()


class FakeAttachment(Attachment):
    def __init__(self, sandbox: FakeSandbox) -> None:
        self._sandbox = sandbox
        self._loop = asyncio.get_running_loop()
        self._gone = asyncio.Event()
        self._is_open = True
        self._serving: set[asyncio.Task[None]] = set()
        self.guards: list[asyncio.Task[None]] = []
        sandbox.attachments.add(self)

    def told_gone(self) -> None:
        self._is_open = False
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._gone.set)

    def end_sandbox(self) -> None:
        self._sandbox.end()

    def require_open(self) -> None:
        if not self._is_open:
            raise disconnected()

    async def dial(self, port: int) -> socket.socket:
        self.require_open()
        if (service := self._sandbox.services.get(port)) is not None:
            return await self._dial_service(service)
        connection = socket.socket()
        connection.setblocking(False)
        try:
            await self._loop.sock_connect(connection, ("127.0.0.1", port))
        except BaseException:
            connection.close()
            raise
        return connection

    async def _dial_service(self, service: Service) -> socket.socket:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=theirs)

        async def serve() -> None:
            try:
                await service(reader, writer)
            finally:
                writer.close()

        task = asyncio.create_task(serve())
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        ours.setblocking(False)
        return ours

    async def exec(
        self,
        argv: list[str],
        *,
        stdio: tuple[int, int, int],
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> Execution:
        self.require_open()
        spec = self._sandbox.spec
        environment = {**spec.environment, **(env or {})}
        directory = self._sandbox.path(cwd or spec.working_directory)
        program = shutil.which(argv[0], path=environment.get("PATH", os.defpath))
        if program is None or not directory.is_dir():
            return FakeExecution(self, None)
        process = await asyncio.create_subprocess_exec(
            program, *argv[1:], stdin=stdio[0], stdout=stdio[1], stderr=stdio[2],
            env=environment, cwd=directory, start_new_session=True,
        )  # fmt: skip
        self._sandbox.groups.add(process.pid)
        return FakeExecution(self, process)

    async def listeners(self) -> dict[int, socket.socket]:
        self.require_open()
        if self._sandbox.listeners_with not in (None, self):
            raise SandboxError("Another process serves this sandbox.", reason="sandbox_busy", permanent=False)
        self._sandbox.listeners_with = self
        copies = {port: listener.dup() for port, listener in self._sandbox.listeners.items()}
        for copy in copies.values():
            copy.setblocking(False)
        return copies

    async def wait_gone(self) -> None:
        await self._gone.wait()

    async def close(self) -> None:
        self._is_open = False
        self._sandbox.attachments.discard(self)
        if self._sandbox.listeners_with is self:
            self._sandbox.listeners_with = None


class FakeExecution(Execution):
    def __init__(self, attachment: FakeAttachment, process: asyncio.subprocess.Process | None) -> None:
        self._attachment = attachment
        self._process = process

    async def wait(self) -> int:
        if self._process is None:
            return 127
        code = await self._process.wait()
        self._attachment.require_open()
        return code

    async def signal(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                pass

    async def guard(self) -> None:
        async def end_with_it() -> None:
            if self._process is not None:
                await self._process.wait()
            self._attachment.end_sandbox()

        self._attachment.guards.append(asyncio.create_task(end_with_it()))


class SlowDriver(FakeDriver):
    """Starts when the test sets ``may_start``; ``is_starting`` tells when somebody waits."""

    name = "slow"

    def __init__(self, services: Mapping[int, Service] | None = None) -> None:
        super().__init__(services)
        self.is_starting = asyncio.Event()
        self.may_start = asyncio.Event()

    async def start(self, spec: SandboxSpec) -> SandboxHandle:
        self.is_starting.set()
        await self.may_start.wait()
        return await super().start(spec)


class NeverDriver(SlowDriver):
    """Never starts; only a time-out or a cancellation ends the wait."""

    name = "never"

    async def start(self, spec: SandboxSpec) -> SandboxHandle:
        self.is_starting.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


class BadDriver(FakeDriver):
    """Fails at once, with a sentence and a fix."""

    name = "bad"

    async def start(self, spec: SandboxSpec) -> SandboxHandle:
        raise SandboxError(
            "bubblewrap is not installed; it builds the sandbox.",
            reason="bubblewrap_missing",
            action="apt-get install bubblewrap",
        )


class DyingDriver(FakeDriver):
    """Starts, then dies under the first command or connection after ``lives`` of them."""

    name = "dying"

    def __init__(self, services: Mapping[int, Service] | None = None, *, lives: int = 0) -> None:
        super().__init__(services)
        self.lives = lives

    async def attach(self, state: Mapping[str, Any]) -> Attachment:
        if (sandbox := _running.get(state.get("number", 0))) is None:
            raise disconnected()
        return _DyingAttachment(sandbox, self)


class _DyingAttachment(FakeAttachment):
    def __init__(self, sandbox: FakeSandbox, driver: DyingDriver) -> None:
        super().__init__(sandbox)
        self._driver = driver

    def require_open(self) -> None:
        if self._is_open and self._driver.lives <= 0:
            self._sandbox.end()
        self._driver.lives -= 1
        super().require_open()
