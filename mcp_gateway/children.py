"""One running MCP server on this host over its pipes, with everything it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp_gateway import blotting, jsonrpc
from mcp_gateway.jsonrpc import Message
from mcp_gateway.lines import MAX_UNREAD, LinePeer
from mcp_gateway.peers import Asks, Gone, Notice
from sandboxes.inference.gathering import Gathering

GRACE_S = 1.0
_STARTER = Path(__file__).with_name("starter.py")

# Of our own environment a server gets only where programs are and which language people read.
INHERITED = ("PATH", "LANG", "LC_ALL", "TZ")


@dataclass(frozen=True, slots=True)
class Launch:
    """What is started: everything resolved, nothing left to look up."""

    command: str
    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: Path = Path("/")
    limits: Mapping[str, int] = field(default_factory=dict)
    # Its secrets, blotted out of what it says; and whether what only looks like one is too.
    known: tuple[str, ...] = field(default=(), repr=False)
    masks_keys: bool = False

    async def start(self, notice: Notice, asked: Asks) -> Child:
        return await Child.start(self, notice, asked)


class Child(LinePeer, asyncio.SubprocessProtocol):
    """Start with ``Child.start``; ``ended`` is set when the process is gone."""

    def __init__(self, notice: Notice, asked: Asks) -> None:
        super().__init__(notice, asked)
        self._transport: asyncio.SubprocessTransport | None = None
        self._stdin: Gathering | None = None

    @classmethod
    async def start(cls, launch: Launch, notice: Notice, asked: Asks) -> Child:
        """A new process. ``notice`` gets notifications that belong to no call, ``asked`` what the server asks. Raises
        Gone when there cannot be a process; a command that does not exist ends at once instead."""
        plan = {"parent": os.getpid(), "limits": dict(launch.limits), "grace_s": GRACE_S}
        own = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environment = {**own, "HOME": str(launch.cwd), "TMPDIR": "/tmp", **launch.env}  # noqa: S108 (the usual place)
        words = [sys.executable, "-I", "-S", str(_STARTER), jsonrpc.dumps(plan).decode(), launch.command, *launch.args]
        child = cls(notice, asked)
        child.blot = blotting.blot(launch.known, shapes=launch.masks_keys)
        try:
            transport, _ = await asyncio.get_running_loop().subprocess_exec(
                lambda: child, *words, env=environment, cwd=str(launch.cwd)
            )
        except (OSError, ValueError) as error:
            raise Gone(f"It cannot be started: {error}") from error
        child._transport = transport
        stdin: Any = transport.get_pipe_transport(0)
        stdin.set_write_buffer_limits(high=MAX_UNREAD)
        child._stdin = Gathering(stdin, asyncio.get_running_loop())
        return child

    @property
    def pid(self) -> int:
        """The starter's; what it started is below it."""
        return self._transport.get_pid() if self._transport else 0

    def send(self, message: Message) -> None:
        """Write one message. Raises Gone when it has ended, or has stopped reading."""
        if not self.is_open or self._stdin is None or self._stdin.is_closing():
            raise Gone("The server has ended.")
        if self._stdin.get_write_buffer_size() > MAX_UNREAD:
            raise Gone("The server does not read what it is asked.")
        self._stdin.write(jsonrpc.dumps(message) + b"\n")

    async def stop(self) -> None:
        """End it and all it started; returns when it is gone."""
        if self._transport is None:
            return
        if self._stdin is not None:
            self._stdin.close()
        for number, patience in ((signal.SIGTERM, GRACE_S + 3.0), (signal.SIGKILL, 5.0)):
            if self.ended.is_set():
                return
            self._signal(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self.ended.wait()

    def _output(self) -> Any:
        return self._transport.get_pipe_transport(1) if self._transport is not None else None

    def _signal(self, number: int) -> None:
        # Not by the transport: it would look first whether the process has ended, and whoever looks takes the status
        # away from the one that waits for it.
        if self._transport is not None and self._transport.get_returncode() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._transport.get_pid(), number)

    # What asyncio calls.

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        (self.hear_errors if fd == 2 else self.hear_output)(data)

    def pipe_connection_lost(self, fd: int, error: Exception | None) -> None:
        if fd == 1 and not self.ended.is_set():
            # It closed its output: nothing can be answered any more, whether it lives or not.
            self.is_open = False
            self._fail("The server ended while it worked on this.")
            self._signal(signal.SIGTERM)

    def process_exited(self) -> None:
        if self._transport is not None:
            self.exit_code = self._transport.get_returncode()
        # What it said last may still be in the pipes; connection_lost comes after it.
        asyncio.get_running_loop().call_later(1.0, self.connection_lost, None)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        self._fail("The server ended while it worked on this.")
        self.ended.set()
