"""Open what lies below a directory an agent writes, and nothing else: no link is followed, no step leads out.

The kernel does it in one call (openat2). Where it has none, or forbids it, every part of the way is opened by itself
without following links; a path here never holds "..", so that both find the same.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import time
from collections.abc import Sequence

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe is opened without waiting for its other end, and then not read.
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_OPENAT2 = 437  # the same number on every architecture
_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x02, 0x04, 0x08
_RENAME_NOREPLACE = 1
REMOVE_S = 30.0  # an agent may put things in faster than they are taken out
_ROUND = 10_000  # names looked at before they are dealt with: a directory may grow while it is read
_TRIES = 20  # the kernel asks to try again when something was renamed on the way


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_libc = ctypes.CDLL(None, use_errno=True)


def opened(root: int, parts: Sequence[bytes], flags: int) -> int:
    """A descriptor of what ``parts`` lead to below ``root``. OSError: ELOOP or ENOTDIR where a link is in the way."""
    if not parts:
        return os.open(".", flags, dir_fd=root)
    try:
        return _by_kernel(root, parts, flags)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM, errno.EAGAIN):
            raise
    return step_by_step(root, parts, flags)


def _by_kernel(root: int, parts: Sequence[bytes], flags: int) -> int:
    how = _How(flags, 0, _NO_MAGICLINKS | _NO_SYMLINKS | _BENEATH)
    for _ in range(_TRIES):
        found: int = _libc.syscall(_OPENAT2, root, b"/".join(parts), ctypes.byref(how), ctypes.sizeof(how))
        if found >= 0:
            return found
        code = ctypes.get_errno()
        if code != errno.EAGAIN:
            break
    raise OSError(code, os.strerror(code))


def step_by_step(root: int, parts: Sequence[bytes], flags: int) -> int:
    """The same without openat2."""
    directory = os.dup(root)
    try:
        for part in parts[:-1]:
            inner = os.open(part, DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = inner
        return os.open(parts[-1], flags | os.O_NOFOLLOW, dir_fd=directory)
    finally:
        os.close(directory)


def move(source: int, name: bytes, target: int, new: bytes) -> None:
    """Rename, and never onto something: FileExistsError instead."""
    rename = getattr(_libc, "renameat2", None)
    if rename is not None:
        if rename(source, name, target, new, _RENAME_NOREPLACE) == 0:
            return
        code = ctypes.get_errno()
        if code not in (errno.ENOSYS, errno.EINVAL):
            raise OSError(code, os.strerror(code))
    try:
        os.stat(new, dir_fd=target, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(name, new, src_dir_fd=source, dst_dir_fd=target)
        return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def remove(parent: int, name: bytes) -> None:
    """Remove a file, a link or a directory with all that is in it, while an agent may still work there.

    Directories are emptied one level at a time, their subdirectories moved up first, so that no depth runs us out of
    stack or path length. What somebody else has removed or replaced meanwhile is met again in the next round.
    TimeoutError after REMOVE_S: what is gone by then is gone."""
    until = time.monotonic() + REMOVE_S
    try:
        os.unlink(name, dir_fd=parent)
        return
    except (IsADirectoryError, PermissionError):
        pass
    while True:
        _clear(parent, name, until)
        try:
            os.rmdir(name, dir_fd=parent)
            return
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            _check(until)


def _clear(parent: int, name: bytes, until: float) -> None:
    top = _opened_wide(parent, name)
    try:
        for each in _emptied(top, until):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                _flatten(top, each, until)
    finally:
        os.close(top)


def _check(until: float) -> None:
    if time.monotonic() > until:
        raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))


def _emptied(directory: int, until: float) -> list[bytes]:
    """Unlink what is no directory; the names of what is one."""
    found = []
    for name, is_directory in entries(directory, _ROUND):
        _check(until)
        if is_directory:
            found.append(name)
        else:
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                os.unlink(name, dir_fd=directory)
    return found


def _flatten(top: int, name: bytes, until: float) -> None:
    inner = _opened_wide(top, name)
    try:
        for each in _emptied(inner, until):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.close(_opened_wide(inner, each))  # a directory that is closed to its owner cannot be moved
                os.rename(each, b".gone-" + os.urandom(8).hex().encode(), src_dir_fd=inner, dst_dir_fd=top)
    finally:
        os.close(inner)
    with contextlib.suppress(OSError):  # not empty: it is met again
        os.rmdir(name, dir_fd=top)


def _opened_wide(parent: int, name: bytes) -> int:
    """The directory, made walkable for its owner. By its descriptor: its name may be a link by now."""
    pinned = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{pinned}", 0o700)
        return os.open(".", DIRECTORY, dir_fd=pinned)
    finally:
        os.close(pinned)


def entries(directory: int, most: int = 0) -> list[tuple[bytes, bool]]:
    """Names, and whether each is a directory; the first ``most`` as the disk has them, 0 is all."""
    found = []
    with os.scandir(directory) as listing:
        for entry in listing:
            found.append((os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)))
            if len(found) == most:
                break
    return found
