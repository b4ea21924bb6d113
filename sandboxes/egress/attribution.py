"""Which program inside a sandbox opened a connection, read from the host's /proc: it cannot be told a lie about it.

The connection is found by its whole address pair in the sandbox's own table of sockets, and the socket among the
descriptors of the sandbox's processes. When programs share a socket, when it is gone already, or when the program
lies where the agent can write, the answer is "" and rules that name programs do not allow it.

An interpreter that is allowed can be driven by anything: this tells single-purpose programs apart (git, pip's own
Python), it is no wall between the programs of one user.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

_LOCAL, _REMOTE, _STATE, _INODE = 1, 2, 3, 9
_ESTABLISHED = "01"
# Where the agent can put a program of its own under any name.
WRITABLE = ("/workspace/", "/home/", "/hermes/", "/tmp/", "/dev/", "/proc/", "/run/user/", "/var/tmp/")  # noqa: S108


def binary_of(init_pid: int, peer: tuple[str, int], own: tuple[str, int]) -> str:
    """The path inside the sandbox of the one program that holds the connection from ``peer`` to ``own`` (addresses
    as the proxy's accepted socket gives them). "" when it cannot be told for certain. Reads /proc, about 5 ms."""
    with contextlib.suppress(OSError, ValueError):
        inode = _inode(init_pid, peer, own)
        if inode:
            programs = {_program(pid) for pid in _holders(init_pid, inode)}
            if len(programs) == 1:
                path = programs.pop()
                return path if _is_trusted(path) else ""
    return ""


def _inode(init_pid: int, peer: tuple[str, int], own: tuple[str, int]) -> str:
    """The socket's inode in the sandbox's network namespace, "" when there is no such connection."""
    wanted = (_as_proc(peer), _as_proc(own))
    with Path(f"/proc/{init_pid}/net/tcp").open() as table:
        next(table)
        for line in table:
            fields = line.split()
            if (fields[_LOCAL], fields[_REMOTE]) == wanted and fields[_STATE] == _ESTABLISHED:
                return "" if fields[_INODE] == "0" else fields[_INODE]
    return ""


def _as_proc(address: tuple[str, int]) -> str:
    """As the kernel prints it: the address in the machine's byte order, the port in hexadecimal."""
    (number,) = struct.unpack("=I", socket.inet_aton(address[0]))
    return f"{number:08X}:{address[1]:04X}"


def _holders(init_pid: int, inode: str) -> Iterator[int]:
    """The processes of the sandbox that have the socket open."""
    link = f"socket:[{inode}]"
    for pid in _processes_of(init_pid):
        with contextlib.suppress(OSError):
            for descriptor in os.scandir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(descriptor.path) == link:
                        yield pid
                        break


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


def _is_trusted(path: str) -> bool:
    return path.startswith("/") and not path.endswith(" (deleted)") and not path.startswith(WRITABLE)
