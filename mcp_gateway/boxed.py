"""An MCP server in a sandbox of its own on this machine: the walls of agents' sandboxes, its pipes held by us.

The sandbox is tied to the connection we hold to it: when Logos is killed the kernel closes that, and all inside ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import signal
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.errors import LogosError
from mcp_gateway import blotting, boxes, endings, fetching, jsonrpc
from mcp_gateway.connections.way import Way
from mcp_gateway.jsonrpc import Message
from mcp_gateway.lines import MAX_UNREAD, LinePeer
from mcp_gateway.peers import Asks, Gone, NeedsSomebody, Notice
from sandboxes.driver import Execution, SandboxError
from sandboxes.egress.proxy import Decision, EgressProxy
from sandboxes.inference.gathering import Gathering
from sandboxes.local.attachment import LocalAttachment
from sandboxes.local.driver import LocalDriver

GRACE_S = 1.0
END_S = 15.0
# What may be otherwise at the next attempt.
PASSING = frozenset({"sandbox_running", "sandbox_disconnected", "sandbox_stuck", "sandbox_unavailable"})


@dataclass(frozen=True, slots=True)
class BoxedLaunch:
    """What is started in a sandbox: everything resolved. ``top`` holds the folders of all servers, ``root`` is that of
    this one; ``secret_places`` are never shown."""

    name: str
    command: str
    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)
    top: Path = Path("/")
    root: Path = Path("/")
    shows: Sequence[str] = ()
    hosts: Sequence[str] = ()
    secret_places: Sequence[Path] = ()
    # Its secrets, blotted out of what it says; and whether what only looks like one is too.
    known: tuple[str, ...] = field(default=(), repr=False)
    masks_keys: bool = False
    # Out of it, for its hosts.
    way: Way = field(default_factory=Way, repr=False, compare=False)

    async def start(self, notice: Notice, asked: Asks) -> BoxedChild:
        return await BoxedChild.start(self, notice, asked)


class BoxedChild(LinePeer):
    """Start with ``BoxedChild.start``; ``ended`` is set when nothing of it is left."""

    def __init__(self, notice: Notice, asked: Asks) -> None:
        super().__init__(notice, asked)
        self._driver = LocalDriver()
        self._state: dict[str, Any] = {}
        self._attachment: LocalAttachment | None = None
        self._execution: Execution | None = None
        self._proxy: EgressProxy | None = None
        self._way: Way | None = None
        self._stdin: Gathering | None = None
        self._readers: list[asyncio.BaseTransport] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ending: asyncio.Task[None] | None = None
        self._said: deque[str] = deque(maxlen=50)
        self._fetched: fetching.Fetched | None = None
        self._command = ""
        # The last that was refused, and whether it has answered anything in spite of it.
        self._refused = ""
        self._has_answered = False

    @classmethod
    async def start(cls, launch: BoxedLaunch, notice: Notice, asked: Asks) -> BoxedChild:
        """A new sandbox with the server in it. Raises NeedsSomebody when this machine cannot make such a sandbox, Gone
        when it cannot just now; a command that does not exist ends at once instead."""
        child = cls(notice, asked)
        child._command = launch.command
        child.blot = blotting.blot(launch.known, shapes=launch.masks_keys)
        try:
            await child._begin(launch)
        except BaseException as error:
            await asyncio.shield(asyncio.ensure_future(child._clear()))
            if isinstance(error, LogosError):
                sentence = f"Its sandbox cannot be made. {error.message} {error.action}".strip()
                raise (Gone if error.reason in PASSING else NeedsSomebody)(sentence) from error
            if isinstance(error, OSError):
                raise Gone(f"Its sandbox cannot be made: {error}") from error
            raise
        return child

    async def _begin(self, launch: BoxedLaunch) -> None:
        uid = await asyncio.to_thread(boxes.owner, launch.top, launch.root)
        spec = boxes.spec(
            f"mcp-{launch.name}", launch.root, cwd=launch.cwd, shows=launch.shows, hosts=launch.hosts,
            limits=launch.limits, secret_places=launch.secret_places, uid=uid,
        )  # fmt: skip
        handle = await self._driver.start(spec)
        self._state, self.walls = handle.state, handle.layers
        self._attachment = await self._driver.attach(handle.state)
        if launch.hosts:
            await self._open_the_way(self._attachment, launch)
        self._fetched = await asyncio.to_thread(fetching.prepared, launch.root, launch.command, launch.args, launch.env)
        self._execution = await self._exec(self._attachment, launch, self._fetched.told)
        await self._execution.guard()
        self._in_background(self._watch(self._attachment, self._execution))

    async def _exec(self, attachment: LocalAttachment, launch: BoxedLaunch, told: Mapping[str, str]) -> Execution:
        """The server itself, started inside with pipes whose other ends are ours."""
        (inside_in, ours_in), (ours_out, inside_out), (ours_err, inside_err) = (os.pipe() for _ in range(3))
        loop = asyncio.get_running_loop()
        try:
            for ours, pipe in (
                (ours_out, _Pipe(self.hear_output, self._closed)),
                (ours_err, _Pipe(self.hear_errors, lambda: None)),
            ):
                reader, _ = await loop.connect_read_pipe(lambda pipe=pipe: pipe, _opened(ours, "rb"))  # type: ignore[misc]
                self._readers.append(reader)
            stdin: Any
            stdin, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, _opened(ours_in, "wb"))
            stdin.set_write_buffer_limits(high=MAX_UNREAD)
            self._stdin = Gathering(stdin, loop)
            words, inside = [launch.command, *launch.args], (inside_in, inside_out, inside_err)
            return await attachment.exec(words, stdio=inside, env={**told, **launch.env})
        finally:
            for descriptor in (inside_in, inside_out, inside_err):
                os.close(descriptor)

    async def _open_the_way(self, attachment: LocalAttachment, launch: BoxedLaunch) -> None:
        self._way = launch.way
        self._proxy = launch.way.open(
            boxes.reach(launch.hosts), attachment, self._decided, self.blot,
            boxes.places(launch.hosts), boxes.refusals(launch.hosts),
        )  # fmt: skip
        await self._proxy.serve((await attachment.listeners())[boxes.PROXY_PORT])

    def _decided(self, decision: Decision) -> None:
        """Among its error output, each once: who looks after it sees what it wanted of the network."""
        where = f"{decision.host}:{decision.port}" if decision.host else "the network"
        said = f"[Logos] {where} {'allowed' if decision.allowed else 'refused'}. {decision.reason}"
        if not decision.allowed:
            self._refused = said
        if said not in self._said:
            self._said.append(said)
            self.errors.append(said)

    def ending(self) -> str:
        if absent := endings.not_there(self.exit_code, self.errors, self._command):
            return f"It ended with status {self.exit_code}. {absent}"
        # One that has answered got what it needs to start: what it was refused later need not be what it ended of.
        return endings.sentence(self.exit_code, self.errors, refused="" if self._has_answered else self._refused)

    @property
    def pid(self) -> int:
        """That of the sandbox's first process, as the host counts; what runs in it is below."""
        return int(self._state["init"]["pid"]) if self._state else 0

    def send(self, message: Message) -> None:
        """Write one message. Raises Gone when it has ended, or has stopped reading."""
        if not self.is_open or self._stdin is None or self._stdin.is_closing():
            raise Gone("The server has ended.")
        if self._stdin.get_write_buffer_size() > MAX_UNREAD:
            raise Gone("The server does not read what it is asked.")
        self._stdin.write(jsonrpc.dumps(message) + b"\n")

    def _output(self) -> Any:
        return self._readers[0]

    def _answered(self, id: int, message: Message, size: int = 0) -> None:
        self._has_answered = True
        if self._fetched is not None:
            self._fetched.works()
            self._fetched = None
        super()._answered(id, message, size)

    async def stop(self) -> None:
        """End it and all it started; returns when it is gone."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(), context=contextvars.Context())
        await asyncio.shield(self._ending)

    async def _end(self) -> None:
        if self._stdin is not None:
            self._stdin.close()
        if self._execution is not None and not self.ended.is_set():
            with contextlib.suppress(SandboxError, TimeoutError):
                await self._execution.signal(signal.SIGTERM)
                async with asyncio.timeout(GRACE_S):
                    await self.ended.wait()
        await self._clear()

    async def _watch(self, attachment: LocalAttachment, execution: Execution) -> None:
        """Until nothing of it runs any more: the sandbox goes with the server."""
        with contextlib.suppress(SandboxError):
            self.exit_code = await execution.wait()
        with contextlib.suppress(SandboxError, TimeoutError):
            async with asyncio.timeout(END_S):
                await attachment.wait_gone()
        # What it said last may still be in the pipes, which end with it.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                while any(not reader.is_closing() for reader in self._readers):
                    await asyncio.sleep(0.01)
        self._over()

    def _closed(self) -> None:
        """It closed its output: nothing can be answered any more, whether it lives or not."""
        if self.is_open:
            self.is_open = False
            self._fail("The server ended while it worked on this.")
            self._in_background(self._leave())

    async def _leave(self) -> None:
        """Its own end is waited for a moment, so that its status is known."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S):
                await self.ended.wait()
        await self.stop()

    def _over(self) -> None:
        self.is_open = False
        self._fail("The server ended while it worked on this.")
        self.ended.set()

    async def _clear(self) -> None:
        """Whatever is left of it, gone; also of a start that failed half-way."""
        if self._state:
            with contextlib.suppress(SandboxError, OSError):
                await self._driver.stop(self._state, now=True)
        if self._proxy is not None and self._way is not None:
            await self._proxy.close()
            self._way.going.discard(self._proxy)
        if self._stdin is not None:
            self._stdin.close()
        for reader in self._readers:
            reader.close()
        if self._attachment is not None:
            await self._attachment.close()
        if self._fetched is not None and (said := self._fetched.fails()):
            self.errors.append(said)
        self._over()

    def _in_background(self, story: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(story, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _opened(descriptor: int, mode: str) -> Any:
    return open(descriptor, mode, buffering=0)


class _Pipe(asyncio.Protocol):
    """One of its outputs."""

    def __init__(self, heard: Callable[[bytes], None], over: Callable[[], None]) -> None:
        self._heard, self._over = heard, over

    def data_received(self, data: bytes) -> None:
        self._heard(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._over()
