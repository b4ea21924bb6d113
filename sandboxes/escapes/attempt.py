"""How one attempt is written down and tried: in a process of its own, that may end as it likes.

Runs inside the sandbox: standard library only, Python 3.9 or newer. An attempt that returns something true got
through, and what it returns is the proof; an error or nothing means that it was refused.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import json
import os
import platform
import select
import signal
import sys
import time
from typing import Any, Callable, NamedTuple  # noqa: UP035 (3.9 inside)

CATEGORIES = ("files", "writes", "privileges", "processes", "sockets", "network", "proxies", "credentials", "resources")
CONTROL = "control"  # honest work: must get through
TIMEOUT_S = 4.0


class Attempt(NamedTuple):
    category: str
    name: str
    work: Callable[[dict[str, Any]], object]

    @property
    def key(self) -> str:
        return f"{self.category}: {self.name}"


ALL: list[Attempt] = []
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def attempt(category: str, name: str) -> Callable[[Callable[[dict[str, Any]], object]], None]:
    """Marks a function that takes the baits."""

    def note(work: Callable[[dict[str, Any]], object]) -> None:
        ALL.append(Attempt(category, name, work))

    return note


def each(category: str, pattern: str, values: Any, work: Callable[[dict[str, Any], Any], object]) -> None:
    """The same attempt with many values."""
    for value in values:
        ALL.append(Attempt(category, pattern.format(value), functools.partial(_with, work, value)))


def _with(work: Callable[[dict[str, Any], Any], object], value: object, bait: dict[str, Any]) -> object:
    return work(bait, value)


def syscall(number: int, *arguments: object) -> int:
    """One raw call; OSError with what the kernel, or the filter before it, answered."""
    result: int = _libc.syscall(
        ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    )
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def is_x86() -> bool:
    return platform.machine() == "x86_64"


def run_all(bait: dict[str, Any]) -> None:
    """Every attempt the baits ask for; one JSON line each on standard output."""
    wanted = set(bait.get("only") or [one.key for one in ALL])
    for each_one in ALL:
        if each_one.key in wanted or each_one.category in wanted:
            outcome, detail = _try(each_one, {**bait, "mark": each_one.key})
            sys.stdout.write(json.dumps({"attempt": each_one.key, "outcome": outcome, "detail": detail}) + "\n")
            sys.stdout.flush()


def _try(one: Attempt, bait: dict[str, Any]) -> tuple[str, str]:
    output, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(output)
        os.setpgid(0, 0)
        os.write(theirs, _outcome(one, bait).encode()[:4000])
        os._exit(0)
    os.close(theirs)
    said, deadline = b"", time.monotonic() + TIMEOUT_S
    while select.select([output], [], [], max(0.0, deadline - time.monotonic()))[0]:
        piece = os.read(output, 4096)
        if not piece:
            break
        said += piece
    os.close(output)
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        os.kill(pid, signal.SIGKILL)  # it has not made its group yet
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if said:
        outcome, _, detail = said.decode(errors="replace").partition(" ")
        return outcome, detail
    return "refused", f"signal {-status}" if status < 0 and time.monotonic() < deadline else "no answer"


def _outcome(one: Attempt, bait: dict[str, Any]) -> str:
    try:
        found = one.work(bait)
    except OSError as problem:
        return f"refused {errno.errorcode.get(problem.errno or 0, problem)}"
    except (MemoryError, ValueError, RuntimeError) as problem:
        return f"refused {type(problem).__name__}"
    except BaseException as problem:
        return f"broken {type(problem).__name__}: {problem}"
    return f"through {found}" if found else "refused nothing came of it"
