"""Start the runtime's gateway inside a running sandbox, wait until it answers, and end it.

The gateway belongs to the sandbox: it goes on when the process that started it ends. A new engine attaches
and uses the key that was stored; if the gateway does not answer then, the caller restarts the sandbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agents.secrets import redact
from sandboxes.driver import Attachment, Execution, SandboxError
from sandboxes.hermes.client import HermesClient
from sandboxes.hermes.configuration import GATEWAY_PORT, NO_LANE
from sandboxes.hermes.errors import HermesError
from sandboxes.hermes.runtime import PYTHON_INSIDE
from sandboxes.hermes.spec import HERMES_HOME, LAUNCHER_INSIDE

logger = logging.getLogger(__name__)

READY_DEADLINE_S = 30.0
FIRST_LOOK_S, NEXT_LOOK_S = 0.4, 0.05  # it never answers sooner than the first; then every look costs 1 ms
GRACE_S = 5.0
LOG_LIMIT = 2 << 20
TAIL_BYTES = 4000

# -I and -B: nothing the agent leaves in its home or workspace becomes part of the runtime.
COMMAND = (PYTHON_INSIDE, "-I", "-B", LAUNCHER_INSIDE, "gateway", "run", "--external-supervisor")


@dataclass(slots=True)
class Gateway:
    """A gateway that answered. ``key`` is a secret: seal it before it is stored."""

    key: str = field(repr=False)
    version: str
    ready_s: float
    execution: Execution
    log: Path

    async def wait(self) -> int:
        """The exit code, once the gateway has ended. SandboxError if the sandbox goes first."""
        return await self.execution.wait()

    async def stop(self, *, graceful: bool = True) -> int:
        """End the gateway and return its exit code. Stop its runs first: a busy one delays a graceful end."""
        if graceful:
            await self.execution.signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GRACE_S):
                    return await self.execution.wait()
        await self.execution.signal(signal.SIGKILL)
        return await self.execution.wait()


def client_for(attachment: Attachment, key: str) -> HermesClient:
    """The client of the gateway in this sandbox; use it as a context manager."""
    return HermesClient(lambda: attachment.dial(GATEWAY_PORT), key)


@dataclass(frozen=True, slots=True)
class Given:
    """The agent's secrets: what the runtime's own tools use and keep, and what every command of the agent gets."""

    tools: Mapping[str, str] = field(repr=False, default_factory=dict)
    commands: Mapping[str, str] = field(repr=False, default_factory=dict)


async def start(
    attachment: Attachment, root: Path, *, given: Given | None = None, deadline_s: float = READY_DEADLINE_S
) -> Gateway:
    """Start the gateway with a fresh key and the agent's secrets, and return once it answers.

    Raises SandboxError(reason="gateway_failed") when it ends or stays silent, with the end of its log as
    ``detail``; nothing of it is left running then."""
    began = time.monotonic()
    key = secrets.token_hex(24)
    log = root / "engine" / "gateway.log"
    given = given or Given()
    line = {"runtime": {**given.tools, "API_SERVER_KEY": key}, "commands": dict(given.commands)}
    execution = await _exec(attachment, line, log)
    try:
        version = await _ready(attachment, execution, key, log, deadline_s)
    except BaseException as error:
        with contextlib.suppress(SandboxError):
            await execution.signal(signal.SIGKILL)
        if isinstance(error, SandboxError):  # the end of a log may repeat what the runtime was given
            error.detail = redact(error.detail, {*given.tools.values(), *given.commands.values()})
        raise
    return Gateway(key, version, time.monotonic() - began, execution, log)


async def warm_up(attachment: Attachment, key: str) -> None:
    """Let the runtime load what it loads with its first run, so that the first message need not wait for it.

    Runs on no lane: the router refuses the one call it makes, nothing is booked and nothing is kept. Call it
    in the background after ``start``, when the router serves the sandbox; a failure of it matters to nobody."""
    session_id = f"warm-up-{secrets.token_hex(8)}"
    with contextlib.suppress(HermesError, TimeoutError):
        async with client_for(attachment, key) as client, asyncio.timeout(READY_DEADLINE_S):
            run_id = await client.start_run("warm up", lane=NO_LANE, session_id=session_id)
            async for _ in client.events(run_id):
                pass
            await client.forget_session(session_id)


async def is_alive(attachment: Attachment, key: str, timeout_s: float = 5.0) -> bool:
    """Whether a gateway started earlier answers and takes this key."""
    try:
        async with client_for(attachment, key) as client:
            await client.check_key(timeout_s)
    except HermesError as error:
        logger.info("The runtime does not answer: %s %s", error.message, error.detail)
        return False
    return True


async def _exec(attachment: Attachment, secret: Mapping[str, Mapping[str, str]], log: Path) -> Execution:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    output = -1
    try:
        output = open_log(log)
        environment = {"API_SERVER_ENABLED": "true", "API_SERVER_PORT": str(GATEWAY_PORT), "HERMES_HOME": HERMES_HOME}
        execution = await attachment.exec(list(COMMAND), stdio=(reading, output, output), env=environment)
        os.close(reading)
        reading = -1  # so that writing fails, rather than waits, when the launcher ended without reading
        try:
            # A pipe holds less than an agent's secrets may be.
            await asyncio.to_thread(_tell, writing, json.dumps(secret).encode() + b"\n")
        except BaseException:
            with contextlib.suppress(SandboxError):
                await execution.signal(signal.SIGKILL)
            raise
        return execution
    finally:
        for descriptor in (reading, writing, output):
            if descriptor >= 0:
                os.close(descriptor)


def _tell(descriptor: int, line: bytes) -> None:
    with contextlib.suppress(BrokenPipeError):  # it ended already; whoever waits for its answer says so
        while line:
            line = line[os.write(descriptor, line) :]


async def _ready(attachment: Attachment, execution: Execution, key: str, log: Path, deadline_s: float) -> str:
    ended = asyncio.ensure_future(execution.wait())
    try:
        async with asyncio.timeout(deadline_s), client_for(attachment, key) as client:
            pause_s = FIRST_LOOK_S
            while True:
                await asyncio.wait({ended}, timeout=pause_s)
                if ended.done():
                    raise _failed(f"The agent runtime ended while it started (exit code {ended.result()}).", log)
                pause_s = NEXT_LOOK_S
                with contextlib.suppress(HermesError):
                    return await client.health(timeout_s=2.0)
    except TimeoutError:
        raise _failed(f"The agent runtime did not answer within {deadline_s:.0f} seconds.", log) from None
    finally:
        ended.cancel()


def _failed(message: str, log: Path) -> SandboxError:
    return SandboxError(
        message,
        reason="gateway_failed",
        detail=tail(log),
        action="Look at the sandbox's log; if its disk or memory is full, make room and start it again.",
        permanent=False,
    )


def open_log(path: Path) -> int:
    """A descriptor that appends to the log. A log that has grown too long is put aside first, one is kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > LOG_LIMIT:
            path.replace(path.with_name(path.name + ".1"))
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def tail(path: Path, size: int = TAIL_BYTES) -> str:
    """The end of the log; empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - size))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
