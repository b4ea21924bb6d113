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
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from sandboxes.driver import Program

_LOCAL, _REMOTE, _STATE, _INODE = 1, 2, 3, 9
_ESTABLISHED = "01"
# Where the agent can put a program of its own under any name.
WRITABLE = ("/workspace/", "/home/", "/hermes/", "/tmp/", "/dev/", "/proc/", "/run/user/", "/var/tmp/")  # noqa: S108


Address = tuple[str, int]
Pair = tuple[Address, Address]

_MAX_HASHED = 512 << 20


class Attributor:
    """Tells the programs of one sandbox. Connections that ask while others are being told share the next look."""

    def __init__(self, init_pid: int) -> None:
        self._init_pid = init_pid
        self._waiting: list[tuple[Pair, asyncio.Future[Program]]] = []
        self._task: asyncio.Task[None] | None = None

    async def program(self, peer: Address, own: Address) -> Program:
        """The one program that holds the connection from ``peer`` to ``own``, as it is after this call began."""
        future: asyncio.Future[Program] = asyncio.get_running_loop().create_future()
        self._waiting.append(((peer, own), future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look(), name="attribution", context=contextvars.Context())
        return await future

    async def _look(self) -> None:
        while self._waiting:
            asked, self._waiting = self._waiting, []
            found = await asyncio.to_thread(programs_of, self._init_pid, [pair for pair, _ in asked])
            for (_, future), program in zip(asked, found, strict=True):
                if not future.done():
                    future.set_result(program)


def programs_of(init_pid: int, pairs: Sequence[Pair]) -> list[Program]:
    """For each connection (addresses as the proxy's accepted socket gives them) the one program that holds it.
    An empty Program where it cannot be told for certain. One look through /proc, a few milliseconds; never raises."""
    try:
        inodes = _inodes(init_pid, set(pairs))
        holders = _holders(init_pid, set(inodes.values()))
    except (OSError, ValueError):
        return [Program()] * len(pairs)
    return [_the_one(holders.get(inodes.get(pair, ""), ())) for pair in pairs]


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
    links = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[str, set[int]] = {}
    if not links:
        return found
    for pid in _processes_of(init_pid):
        with contextlib.suppress(OSError):
            for descriptor in os.listdir(directory := f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if inode := links.get(os.readlink(f"{directory}/{descriptor}")):
                        found.setdefault(inode, set()).add(pid)
    return found


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
