"""Landlock rules for the processes of one sandbox, graded by what the running kernel offers.

The second wall behind the mount tree: if a namespace ever leaks, paths outside these lists still answer EACCES, and
signals and abstract sockets cannot leave the domain. TCP stays out of the rules: the network namespace holds only a
loopback interface, and a port list would break every test server on an ephemeral port.
Runs inside the sandbox too (see ``pid1``): standard library only, Python 3.9 or newer.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from typing import Iterable  # noqa: UP035 (3.9 inside)

from sandboxes.local import kernel

# The same numbers on every machine.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
MAKE_CHAR, MAKE_BLOCK = 1 << 6, 1 << 11
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
_FOR_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV

READ_ONLY = EXECUTE | READ_FILE | READ_DIR
DEVICE = WRITE_FILE | READ_FILE | READ_DIR | TRUNCATE | IOCTL_DEV
_SCOPES = 0b11  # abstract unix sockets, signals


def handled_rights(abi: int) -> int:
    """Every file system right of an ABI: 13 at first, then REFER (2), TRUNCATE (3) and IOCTL_DEV (5)."""
    return (1 << (13 + (abi >= 2) + (abi >= 3) + (abi >= 5))) - 1


def read_write(abi: int) -> int:
    """All an agent may do below its own directories: anything but make or drive devices."""
    return handled_rights(abi) & ~(MAKE_CHAR | MAKE_BLOCK | IOCTL_DEV)


def attributes(abi: int) -> bytes:
    """The ruleset's header; older kernels know only its beginning."""
    rights = handled_rights(abi)
    if abi >= 6:
        return struct.pack("<QQQ", rights, 0, _SCOPES)
    return struct.pack("<Q", rights)


def abi() -> int:
    """The kernel's Landlock ABI; 0 where it is not built in or was not switched on at boot."""
    version_query = 1
    try:
        return kernel.syscall(_CREATE_RULESET, None, 0, version_query)
    except OSError as problem:
        if problem.errno in (errno.ENOSYS, errno.EOPNOTSUPP):
            return 0
        raise


def ruleset(abi: int, rules: Iterable[tuple[str, int]]) -> int:
    """A descriptor for ``restrict``. Paths that do not exist are left out: they cannot be reached either."""
    header = attributes(abi)
    descriptor = kernel.syscall(_CREATE_RULESET, header, len(header), 0)
    os.set_inheritable(descriptor, False)
    for path, rights in rules:
        _allow(descriptor, path, rights & handled_rights(abi))
    return descriptor


def _allow(descriptor: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _FOR_FILES
        kernel.syscall(_ADD_RULE, descriptor, _PATH_BENEATH, struct.pack("<Qi", rights, place), 0)
    finally:
        os.close(place)


def restrict(descriptor: int) -> None:
    """Put this process under the rules, inside those it already has. There is no way back."""
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.syscall(_RESTRICT_SELF, descriptor, 0)
