"""Starting and ending the gateway, with a small program in its place and the host as the sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sandboxes.driver import Attachment, Execution, SandboxError
from sandboxes.hermes import gateway
from tests.ports import free_port

PROGRAM = """
import http.server, json, os, signal, sys
key = json.loads(sys.stdin.readline())["runtime"]["API_SERVER_KEY"]
print("the log says", sys.argv[1], flush=True)
if sys.argv[1] == "ends":
    sys.exit(3)
if sys.argv[1] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        allowed = self.path == "/health" or self.headers["Authorization"] == "Bearer " + key
        body = json.dumps({"version": "0.19.0", "data": []} if allowed else {"error": {"message": "no"}}).encode()
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass

if sys.argv[1] == "silent":
    signal.pause()
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[2])), Handler)
server.serve_forever()
"""


class HostExecution(Execution):
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._ended = asyncio.ensure_future(asyncio.to_thread(process.wait))

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    async def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    async def guard(self) -> None:
        """Nothing runs here that could take its place."""


class HostAttachment(Attachment):
    """Runs a program on the host instead, and dials its port."""

    def __init__(self, behaviour: str) -> None:
        self.port = free_port()
        self.behaviour = behaviour
        self.asked: dict[str, Any] = {}
        self.executions: list[HostExecution] = []

    async def dial(self, port: int) -> socket.socket:
        assert port == 8642
        sock = socket.socket()
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        except BaseException:
            sock.close()
            raise
        return sock

    async def exec(
        self,
        argv: list[str],
        *,
        stdio: tuple[int, int, int],
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> HostExecution:
        self.asked = {"argv": argv, "env": dict(env or {})}
        process = subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-c", PROGRAM, self.behaviour, str(self.port)],
            stdin=stdio[0], stdout=stdio[1], stderr=stdio[2], start_new_session=True,
        )  # fmt: skip
        self.executions.append(HostExecution(process))
        return self.executions[-1]

    async def listeners(self) -> dict[int, socket.socket]:
        return {}

    async def wait_gone(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        for execution in self.executions:
            await execution.signal(signal.SIGKILL)
            await execution.wait()


@contextlib.asynccontextmanager
async def sandbox(behaviour: str) -> AsyncIterator[HostAttachment]:
    attachment = HostAttachment(behaviour)
    try:
        yield attachment
    finally:
        await attachment.close()


async def test_a_started_gateway_answers_and_takes_only_its_own_key(tmp_path: Path) -> None:
    async with sandbox("well") as attachment:
        started = await gateway.start(attachment, tmp_path)

        assert started.version == "0.19.0"
        assert await gateway.is_alive(attachment, started.key)
        assert not await gateway.is_alive(attachment, "another key")


async def test_the_key_is_fresh_and_is_neither_an_argument_nor_in_the_environment(tmp_path: Path) -> None:
    async with sandbox("well") as one, sandbox("well") as two:
        first, second = await gateway.start(one, tmp_path / "1"), await gateway.start(two, tmp_path / "2")

        assert first.key != second.key
        assert len(first.key) >= 32
        assert first.key not in json.dumps(one.asked)
        assert first.key not in repr(first)


async def test_a_gateway_that_ends_at_once_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    async with sandbox("ends") as attachment:
        with pytest.raises(SandboxError, match="exit code 3") as caught:
            await gateway.start(attachment, tmp_path)

    assert caught.value.reason == "gateway_failed"
    assert caught.value.detail.strip() == "the log says ends"


async def test_a_gateway_that_stays_silent_is_ended(tmp_path: Path) -> None:
    async with sandbox("silent") as attachment:
        with pytest.raises(SandboxError, match="did not answer within 1 seconds"):
            await gateway.start(attachment, tmp_path, deadline_s=1.0)

        assert await attachment.executions[0].wait() == -signal.SIGKILL


async def test_a_start_that_is_cancelled_leaves_nothing_running(tmp_path: Path) -> None:
    async with sandbox("silent") as attachment:
        task = asyncio.ensure_future(gateway.start(attachment, tmp_path))
        while not attachment.executions:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert await attachment.executions[0].wait() == -signal.SIGKILL


async def test_a_graceful_stop_ends_it(tmp_path: Path) -> None:
    async with sandbox("well") as attachment:
        started = await gateway.start(attachment, tmp_path)

        assert await started.stop() == -signal.SIGTERM
        assert await started.wait() == -signal.SIGTERM
        assert not await gateway.is_alive(attachment, started.key)


async def test_one_that_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "GRACE_S", 0.2)
    async with sandbox("stubborn") as attachment:
        started = await gateway.start(attachment, tmp_path)

        assert await started.stop() == -signal.SIGKILL


async def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    async with sandbox("well") as attachment:
        before = len(os.listdir("/proc/self/fd"))
        await gateway.start(attachment, tmp_path)

        assert len(os.listdir("/proc/self/fd")) == before


def test_the_log_is_added_to_and_put_aside_when_it_is_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "LOG_LIMIT", 10)
    path = tmp_path / "engine/gateway.log"

    for text in (b"first ", b"second ", b"third "):
        descriptor = gateway.open_log(path)
        os.write(descriptor, text)
        os.close(descriptor)

    assert path.read_text() == "third "
    assert path.with_name("gateway.log.1").read_text() == "first second "
    assert path.stat().st_mode & 0o777 == 0o600
    assert gateway.tail(path, 3) == "rd "
    assert gateway.tail(tmp_path / "missing") == ""
