"""Which program inside a sandbox opened a connection, read from the host's /proc: it cannot be told a lie about it.

The connection is found by its whole address pair in the sandbox's own table of sockets, and the socket among the
descriptors of the sandbox's processes. When programs share a socket, when it is gone already, or when the program
lies where the agent can write, the answer is "" and rules that name programs do not allow it.

An interpreter that is allowed can be driven by anything: this tells single-purpose programs apart (git, pip's own
Python), it is no wall between the programs of one user.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import hashlib
import os
import socket
import struct
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from agents.programs import WRITABLE
from sandboxes.driver import Program, Sockets

_LOCAL, _REMOTE, _STATE, _INODE = 1, 2, 3, 9
_ESTABLISHED = "01"


Address = tuple[str, int]
Pair = tuple[Address, Address]
Q = TypeVar("Q")
A = TypeVar("A")

_MAX_HASHED = 512 << 20


class Attributor:
    """Tells the programs of one sandbox. Those who ask while others are being told share the next look."""

    def __init__(self, init_pid: int) -> None:
        self._init_pid = init_pid
        self._seen: _Shared[None, Sockets] = _Shared(lambda asked: [sockets_of(init_pid)] * len(asked))
        self._told: _Shared[Pair, tuple[str, Program]] = _Shared(lambda asked: programs_of(init_pid, asked))

    async def sockets(self) -> Sockets:
        """The programs that hold each socket, after this call began. Cheap: a fraction of a millisecond."""
        return await self._seen.ask(None)

    async def program(self, peer: Address, own: Address, before: Sockets) -> Program:
        """The one program that holds the connection from ``peer`` to ``own``, and that held it alone ``before``."""
        inode, program = await self._told.ask((peer, own))
        return program if before.get(inode) == {program.path} else Program()


class _Shared(Generic[Q, A]):
    """Questions that one look in a thread answers together: those that come while it goes on wait for the next."""

    def __init__(self, look: Callable[[Sequence[Q]], Sequence[A]]) -> None:
        self._look = look
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, question: Q) -> A:
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="attribution", context=contextvars.Context())
        return await future

    async def _run(self) -> None:
        while self._waiting:
            asked, self._waiting = self._waiting, []
            found = await asyncio.to_thread(self._look, [question for question, _ in asked])
            for (_, future), answer in zip(asked, found, strict=True):
                if not future.done():
                    future.set_result(answer)


def sockets_of(init_pid: int) -> dict[str, frozenset[str]]:
    """The paths of the programs that hold each socket of the sandbox, by its inode. Never raises."""
    found: dict[str, set[str]] = {}
    for pid in _processes_of(init_pid):
        with contextlib.suppress(OSError):
            path = _program(pid)
            for inode in _sockets(pid):
                found.setdefault(inode, set()).add(path)
    return {inode: frozenset(paths) for inode, paths in found.items()}


def programs_of(init_pid: int, pairs: Sequence[Pair]) -> list[tuple[str, Program]]:
    """For each connection (addresses as the proxy's accepted socket gives them) its socket and the one program that
    holds it; an empty Program where it cannot be told for certain. One look through /proc, a few milliseconds, nearly
    all of it the kernel's for the table of connections; never raises."""
    try:
        inodes = _inodes(init_pid, set(pairs))
        holders = _holders(init_pid, set(inodes.values()))
    except (OSError, ValueError):
        return [("", Program())] * len(pairs)
    return [(inode := inodes.get(pair, ""), _the_one(holders.get(inode, ()))) for pair in pairs]


def _the_one(pids: Collection[int]) -> Program:
    with contextlib.suppress(OSError):
        paths = {_program(pid) for pid in pids}
        if len(paths) == 1 and _is_trusted(path := paths.pop()):
            return Program(path, _digest_of(min(pids)))
    return Program()


def _inodes(init_pid: int, pairs: Collection[Pair]) -> dict[Pair, str]:
    """The sockets' inodes in the sandbox's network namespace; what is not connected is left out."""
    wanted = {(_as_proc(peer), _as_proc(own)): (peer, own) for peer, own in pairs}
    found = {}
    with Path(f"/proc/{init_pid}/net/tcp").open() as table:
        next(table)
        for line in table:
            fields = line.split()
            pair = wanted.get((fields[_LOCAL], fields[_REMOTE]))
            if pair is not None and fields[_STATE] == _ESTABLISHED and fields[_INODE] != "0":
                found[pair] = fields[_INODE]
    return found


def _as_proc(address: tuple[str, int]) -> str:
    """As the kernel prints it: the address in the machine's byte order, the port in hexadecimal."""
    (number,) = struct.unpack("=I", socket.inet_aton(address[0]))
    return f"{number:08X}:{address[1]:04X}"


def _holders(init_pid: int, inodes: Collection[str]) -> dict[str, set[int]]:
    """The processes of the sandbox that have each of the sockets open."""
    found: dict[str, set[int]] = {}
    if not inodes:
        return found
    for pid in _processes_of(init_pid):
        with contextlib.suppress(OSError):
            for inode in _sockets(pid):
                if inode in inodes:
                    found.setdefault(inode, set()).add(pid)
    return found


def _sockets(pid: int) -> Iterator[str]:
    """The inodes of the sockets a process has open."""
    directory = f"/proc/{pid}/fd"
    for descriptor in os.listdir(directory):
        with contextlib.suppress(OSError):
            link = os.readlink(f"{directory}/{descriptor}")
            if link.startswith("socket:["):
                yield link[8:-1]


def _processes_of(init_pid: int) -> Iterator[int]:
    """Everything below the sandbox's PID 1, which adopts what its parents leave behind: by children, so that the
    cost follows the size of the sandbox and not that of the machine."""
    waiting = [init_pid]
    while waiting:
        pid = waiting.pop()
        yield pid
        with contextlib.suppress(OSError):
            for task in os.scandir(f"/proc/{pid}/task"):
                with contextlib.suppress(OSError), open(f"{task.path}/children") as children:
                    waiting += [int(child) for child in children.read().split()]


def _program(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/exe")


def _digest_of(pid: int) -> str:
    """SHA-256 of the program's file, read once for each version of it. Nothing the agent can write is trusted here,
    so the file is what it was. "" for what is gone or too large."""
    try:
        with open(f"/proc/{pid}/exe", "rb") as file:
            about = os.fstat(file.fileno())
            key = (about.st_dev, about.st_ino, about.st_mtime_ns, about.st_size)
            if key not in _digests and about.st_size <= _MAX_HASHED:
                if len(_digests) >= 1_000:
                    _digests.clear()
                _digests[key] = hashlib.file_digest(file, "sha256").hexdigest()
            return _digests.get(key, "")
    except OSError:
        return ""


_digests: dict[tuple[int, int, int, int], str] = {}


def _is_trusted(path: str) -> bool:
    return path.startswith("/") and not path.endswith(" (deleted)") and not path.startswith(WRITABLE)
