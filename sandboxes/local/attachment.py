"""The host's side of one connection to a keeper: dial, exec, signal and listeners, for one asyncio loop."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandboxes.driver import Attachment, Execution, LimitNotice, Program, SandboxError, Sockets
from sandboxes.local import wire
from sandboxes.local.switchboard import SOCKET_NAME

if TYPE_CHECKING:
    from sandboxes.egress.attribution import Attributor

CONNECT_TIMEOUT_S = 5.0
DIAL_TIMEOUT_S = 10.0  # PID 1 gives up after 5


def disconnected(detail: str = "") -> SandboxError:
    return SandboxError(
        "The sandbox is not running.",
        reason="sandbox_disconnected",
        detail=detail,
        action="Start it and try again.",
        permanent=False,
    )


async def connect(engine: Path) -> LocalAttachment:
    """Connect to the keeper in ``engine`` and hear its hello. SandboxError if none answers, or one too old or new."""
    connection = _connected_socket(engine)
    attachment = LocalAttachment(connection)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            hello = await attachment.hello()
    except BaseException as problem:
        await attachment.close()
        if isinstance(problem, TimeoutError):
            raise disconnected("the keeper does not answer") from None
        raise
    if hello["version"] != wire.VERSION:
        await attachment.close()
        raise SandboxError(
            "The sandbox was started by another version of Logos.",
            reason="sandbox_version",
            detail=f"keeper {hello['version']}, engine {wire.VERSION}",
            action="Stop the sandbox and start it again.",
        )
    return attachment


async def is_answered(engine: Path) -> bool:
    """Whether a keeper serves ``engine``: it says hello, it does not only hold the socket while it dies."""
    try:
        connection = await connect(engine)
    except SandboxError as problem:
        return problem.reason == "sandbox_version"
    await connection.close()
    return True


def _connected_socket(engine: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        # Through a descriptor, because the address of a socket may hold 107 bytes only.
        directory = os.open(engine, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            connection.connect(f"/proc/self/fd/{directory}/{SOCKET_NAME}")
        finally:
            os.close(directory)
    except OSError as problem:
        connection.close()
        raise disconnected(f"{engine}: {problem.strerror}") from problem
    return connection


class LocalAttachment(Attachment):
    def __init__(self, connection: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._outbox = wire.Outbox(connection)
        self._ids = itertools.count(1)
        self._waiting: dict[tuple[str, int], asyncio.Future[tuple[dict[str, Any], list[int]]]] = {}
        self._hello = self._expect("hello", 0)
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._is_open = True
        self._noticed: asyncio.Queue[LimitNotice | None] = asyncio.Queue()
        self._attributor: Attributor | None = None
        self._loop.add_reader(connection, self._read)

    async def hello(self) -> dict[str, Any]:
        """What the keeper says of itself: version, init (PID 1 as the host numbers it), layers, ports."""
        return (await asyncio.shield(self._hello))[0]

    async def dial(self, port: int) -> socket.socket:
        request_id, answer = self._ask("dial")
        self._send({"op": "dial", "id": request_id, "port": port})
        async with asyncio.timeout(DIAL_TIMEOUT_S):
            message, descriptors = await _descriptors_of(answer)
        code = message["errno"] or (0 if descriptors else errno.EMFILE)
        if code:
            wire.close_all(descriptors)
            # OSError picks the subclass: ConnectionRefusedError, TimeoutError
            raise OSError(code, os.strerror(code), f"port {port} in the sandbox")
        connection = socket.socket(fileno=descriptors[0])
        connection.setblocking(False)
        return connection

    async def exec(
        self,
        argv: list[str],
        *,
        stdio: tuple[int, int, int],
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> Execution:
        request_id, ended = self._ask("exec")
        message = {"op": "exec", "id": request_id, "argv": argv, "env": dict(env or {}), "cwd": cwd}
        try:
            self._send(message, [os.dup(descriptor) for descriptor in stdio])
        except ValueError as problem:
            del self._waiting["exit", request_id]
            raise SandboxError(
                "The command line is too long.", reason="exec_too_long", detail=str(problem)
            ) from problem
        return LocalExecution(self, request_id, ended)

    async def listeners(self) -> dict[int, socket.socket]:
        request_id, answer = self._ask("listen")
        self._send({"op": "listen", "id": request_id})
        message, descriptors = await _descriptors_of(answer)
        if message["busy"]:
            raise SandboxError(
                "Another process serves this sandbox.",
                reason="sandbox_busy",
                action="Stop the other one, or wait until it has ended.",
                permanent=False,
            )
        sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        for listener in sockets:
            listener.setblocking(False)
        return dict(zip(message["ports"], sockets, strict=True))

    async def sockets(self) -> Sockets:
        return await (await self._attribution()).sockets()

    async def program(self, peer: tuple[str, int], own: tuple[str, int], before: Sockets) -> Program:
        return await (await self._attribution()).program(peer, own, before)

    async def _attribution(self) -> Attributor:
        if self._attributor is None:
            # Only an engine that serves a proxy asks: the driver itself needs nothing but the standard library.
            from sandboxes.egress.attribution import Attributor

            self._attributor = Attributor((await self.hello())["init"]["pid"])
        return self._attributor

    async def wait_gone(self) -> None:
        await asyncio.shield(self._gone)

    async def notices(self) -> AsyncIterator[LimitNotice]:
        for known in (await self.hello()).get("limits", ()):
            yield _notice(known)
        while (notice := await self._noticed.get()) is not None:
            yield notice

    async def close(self) -> None:
        self._disconnect(gone=False)

    def signal(self, request_id: int, number: int) -> None:
        self._send({"op": "signal", "id": request_id, "signal": number})

    def guard(self, request_id: int) -> None:
        self._send({"op": "guard", "id": request_id})

    def ask_to_stop(self, grace_s: float) -> None:
        """The sandbox ends after at most ``grace_s``; ``wait_gone`` tells when nothing of it is left."""
        self._send({"op": "stop", "id": 0, "grace_s": grace_s})

    def _ask(self, operation: str) -> tuple[int, asyncio.Future[tuple[dict[str, Any], list[int]]]]:
        answers = {"dial": "dialled", "exec": "exit", "listen": "listen"}
        request_id = next(self._ids)
        return request_id, self._expect(answers[operation], request_id)

    def _expect(self, answer: str, request_id: int) -> asyncio.Future[tuple[dict[str, Any], list[int]]]:
        future = self._loop.create_future()
        future.add_done_callback(_mark_as_seen)
        self._waiting[answer, request_id] = future
        return future

    def _send(self, message: dict[str, Any], descriptors: list[int] | None = None) -> None:
        if not self._is_open:
            wire.close_all(descriptors or ())
            raise disconnected()
        try:
            self._outbox.put(message, descriptors or ())
        except OSError as problem:
            self._disconnect(gone=True)
            raise disconnected(str(problem)) from problem
        if len(self._outbox):
            self._loop.add_writer(self._connection, self._write)

    def _write(self) -> None:
        try:
            self._outbox.flush()
        except OSError:
            self._disconnect(gone=True)
            return
        if not len(self._outbox):
            self._loop.remove_writer(self._connection)

    def _read(self) -> None:
        while self._is_open:
            try:
                message, descriptors = wire.receive(self._connection)
            except BlockingIOError:
                return
            except (OSError, wire.Malformed):
                message = None
            if message is None:
                self._disconnect(gone=True)
                return
            if message.get("op") == "limit":
                self._noticed.put_nowait(_notice(message))
                continue
            waiting = self._waiting.pop((message.get("op", ""), message.get("id", 0)), None)
            if waiting is not None and not waiting.done():
                waiting.set_result((message, descriptors))
            else:
                wire.close_all(descriptors)  # whoever asked was cancelled

    def _disconnect(self, *, gone: bool) -> None:
        if not self._is_open:
            return
        self._is_open = False
        self._loop.remove_reader(self._connection)
        self._loop.remove_writer(self._connection)
        self._outbox.close()
        self._connection.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(disconnected())
        self._waiting.clear()
        self._noticed.put_nowait(None)
        if not self._gone.done():
            if gone:
                self._gone.set_result(None)
            else:
                self._gone.set_exception(disconnected("this attachment was closed"))
                self._gone.exception()


def _notice(message: Mapping[str, Any]) -> LimitNotice:
    return LimitNotice(message["limit"], message["sentence"], bool(message["over"]), float(message["at"]))


async def _descriptors_of(answer: asyncio.Future[tuple[dict[str, Any], list[int]]]) -> tuple[dict[str, Any], list[int]]:
    try:
        return await answer
    except asyncio.CancelledError:
        # Cancelled in the moment between the answer's arrival and our turn.
        if answer.done() and not answer.cancelled() and answer.exception() is None:
            wire.close_all(answer.result()[1])
        raise


def _mark_as_seen(future: asyncio.Future[Any]) -> None:
    """Nobody has to wait for a command; its failure then needs no warning."""
    if not future.cancelled():
        future.exception()


class LocalExecution(Execution):
    def __init__(
        self,
        attachment: LocalAttachment,
        request_id: int,
        ended: asyncio.Future[tuple[dict[str, Any], list[int]]],
    ) -> None:
        self._attachment = attachment
        self._request_id = request_id
        self._ended = ended

    async def wait(self) -> int:
        message, _ = await asyncio.shield(self._ended)
        code: int = message["code"]
        return code

    async def signal(self, number: int) -> None:
        if not self._ended.done():
            self._attachment.signal(self._request_id, number)

    async def guard(self) -> None:
        self._attachment.guard(self._request_id)
