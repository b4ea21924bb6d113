"""Start a keeper and wait for its word that the sandbox is up; a start that fails or is cancelled leaves nothing."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sandboxes.driver import SandboxError, SandboxSpec
from sandboxes.local import bwrap, diagnosis, launch, tree, wire
from sandboxes.local.machine import Bubblewrap

REPORT_TIMEOUT_S = launch.START_TIMEOUT_S + 10
LOG_NAME = "keeper.log"
_PROJECT = Path(__file__).resolve().parents[2]
_START = f"import sys; sys.path.insert(0, {str(_PROJECT)!r}); from sandboxes.local.keeper import main; main()"


async def start_keeper(spec: SandboxSpec, lock: int, bubblewrap: Bubblewrap, use_groups: bool) -> dict[str, Any]:
    """The state that finds the sandbox again. SandboxError, translated, if it does not come up."""
    host, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    host.setblocking(False)
    with host:
        process = _spawn(spec, lock, bubblewrap, theirs, use_groups)
        try:
            async with asyncio.timeout(REPORT_TIMEOUT_S):
                report = await _receive(host)
            if report is None or report["op"] != "ready":
                raise _failure(spec, report)
            # Without this word the keeper ends the sandbox again. From here on nothing may be awaited.
            wire.Outbox(host).put({"op": "keep"})
        except BaseException:
            await _until_gone(host)
            raise
        finally:
            process.wait()  # only the half that forked and left at once
        state: dict[str, Any] = report["state"]
        return state


def _spawn(
    spec: SandboxSpec, lock: int, bubblewrap: Bubblewrap, starter: socket.socket, use_groups: bool
) -> subprocess.Popen[bytes]:
    engine = tree.engine_directory(spec.root)
    with starter, _data_descriptors() as data:
        arguments = [
            option if isinstance(option, str) else str(data.add(option.text.encode()))
            for option in bwrap.options(spec, bubblewrap.version)
        ]
        texts = list(data.descriptors)
        plan: launch.Plan = {
            "bwrap": bubblewrap.path,
            "arguments": data.add(b"".join(argument.encode() + b"\0" for argument in arguments)),
            "data": texts,
            "command": bwrap.COMMAND,
            "pid1": bwrap.pid1_configuration(spec),
            "uid": spec.uid,
            "engine": str(engine),
            "lock": lock,
            "limits": {
                "memory_mb": spec.limits.memory_mb,
                "processes": spec.limits.processes,
                "cpu_percent": spec.limits.cpu_percent,
                "disk_mb": spec.limits.disk_mb,
            },
            "use_groups": use_groups,
            "writable": [str(mount.source) for mount in spec.mounts if mount.writable],
            "tied": spec.tied,
        }
        plan_descriptor = data.add(json.dumps(plan).encode())
        with _log_file(engine) as log:
            return subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _START, str(plan_descriptor), str(starter.fileno()), str(engine)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={},  # the engine's holds secrets
                pass_fds=[*data.descriptors, starter.fileno(), lock],
                start_new_session=True,
            )


class _Data:
    """Texts in memory files: they pass to the keeper and on to bubblewrap under the same numbers."""

    def __init__(self) -> None:
        self.descriptors: list[int] = []

    def add(self, content: bytes) -> int:
        descriptor = os.memfd_create("logos")
        self.descriptors.append(descriptor)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor


@contextmanager
def _data_descriptors() -> Iterator[_Data]:
    data = _Data()
    try:
        yield data
    finally:
        wire.close_all(data.descriptors)


def _log_file(engine: Path) -> Any:
    """This start's log; the one before it is kept under another name, since it may tell why it ended."""
    path = engine / LOG_NAME
    if path.exists():
        path.replace(engine / f"{LOG_NAME}.old")
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600), "ab")


async def _receive(host: socket.socket) -> dict[str, Any] | None:
    """The keeper's next message; None once it is gone."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            return wire.receive(host)[0]
        except BlockingIOError:
            readable: asyncio.Future[None] = loop.create_future()
            loop.add_reader(host, _set, readable)
            try:
                await readable
            finally:
                loop.remove_reader(host)
        except OSError:
            return None


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _until_gone(host: socket.socket) -> None:
    """Tell the keeper that nobody waits any more, and wait until it has ended with all it started."""
    try:
        host.shutdown(socket.SHUT_WR)
    except OSError:
        return
    async with asyncio.timeout(REPORT_TIMEOUT_S):
        while await _receive(host) is not None:
            pass


def _failure(spec: SandboxSpec, report: dict[str, Any] | None) -> SandboxError:
    if report is None:
        log = tree.engine_directory(spec.root) / LOG_NAME
        return diagnosis.explain(log.read_text(errors="replace")[-4000:], status="the keeper ended")
    return diagnosis.explain(report["words"], status=report["status"])
