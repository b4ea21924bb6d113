"""What PID 1 tries before it says ready: a dozen things that must fail, and the marks that must be on it.

The last word on whether the walls are up on this kernel, at every start. Runs inside the sandbox: standard library
only, Python 3.9 or newer.
"""

from __future__ import annotations

import errno
import os
import platform
import socket
from typing import Callable  # noqa: UP035 (3.9 inside)

from sandboxes.local import kernel, seccomp


class WallMissing(Exception):
    """Something that must be impossible in a sandbox worked."""


def check() -> None:
    """Raise WallMissing with the first finding."""
    interfaces = [name for _, name in socket.if_nameindex()]
    if interfaces != ["lo"]:
        raise WallMissing(f"network interfaces {interfaces}, expected only lo")
    wrong = wrong_marks(_status())
    if wrong:
        raise WallMissing(f"process status {wrong}")
    if os.getpid() != 1:
        raise WallMissing("not process 1 of a namespace of its own")
    for path in ("/etc/shadow", "/sys", "/oldroot", "/newroot"):
        if os.path.exists(path):
            raise WallMissing(f"{path} is visible")
    for what, codes, attempt in ATTEMPTS:
        _must_fail(what, codes, attempt)


REQUIRED_MARKS = {"Seccomp": "2", "NoNewPrivs": "1", "CapEff": "0", "CapPrm": "0", "CapBnd": "0", "CapAmb": "0"}


def wrong_marks(status: dict[str, str]) -> dict[str, str]:
    """The lines of /proc/self/status that are not as they must be. Capability sets are hexadecimal."""
    found = {name: status.get(name, "absent") for name in REQUIRED_MARKS}
    return {name: value for name, value in found.items() if (value.lstrip("0") or "0") != REQUIRED_MARKS[name]}


def _status() -> dict[str, str]:
    with open("/proc/self/status") as file:
        parts = [line.partition(":") for line in file]
    return {name: value.strip() for name, _, value in parts}


def _call(name: str, *arguments: int | None) -> Callable[[], object]:
    return lambda: kernel.syscall(seccomp.NUMBERS[platform.machine()][name], *arguments)


def _write_to_the_system() -> None:
    os.close(os.open("/usr/.logos-self-test", os.O_CREAT | os.O_WRONLY))


def _reach_the_network() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # an address reserved for documentation; a route to it means a way out


_NEWUSER = 0x10000000
_FORBIDDEN = (errno.EPERM,)
_READ_ONLY = (errno.EROFS, errno.EACCES)

ATTEMPTS: tuple[tuple[str, tuple[int, ...], Callable[[], object]], ...] = (
    ("a new user namespace", _FORBIDDEN, _call("unshare", _NEWUSER)),
    ("a kernel keyring", _FORBIDDEN, _call("keyctl", 0, 0)),
    ("io_uring", _FORBIDDEN, _call("io_uring_setup", 1, None)),
    ("a mount", _FORBIDDEN, _call("mount", None, None, None, 0, None)),
    ("ptrace", _FORBIDDEN, _call("ptrace", 0)),
    ("bpf", _FORBIDDEN, _call("bpf", 0, None, 0)),
    ("a virtual machine's host socket", (errno.EAFNOSUPPORT,), lambda: socket.socket(40, socket.SOCK_STREAM)),
    ("a raw socket", _FORBIDDEN, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
    ("a route to another machine", (errno.ENETUNREACH,), _reach_the_network),
    ("writing below /usr", _READ_ONLY, _write_to_the_system),
    ("writing to the root", _READ_ONLY, lambda: os.mkdir("/logos-self-test")),
)


def _must_fail(what: str, codes: tuple[int, ...], attempt: Callable[[], object]) -> None:
    try:
        attempt()
    except OSError as problem:
        if problem.errno in codes:
            return
        raise WallMissing(f"{what}: {problem.strerror}, expected another refusal") from problem
    raise WallMissing(f"{what} is possible")
