"""Write a file into an agent's directory that has no name there until it is whole, so that a killed process leaves nothing."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import time
from collections.abc import Iterator

from sandboxes import beneath

# Where the disk has no files without a name, a half one has such a name until it is whole.
PREFIX = b".logos-upload-"
_PARTIAL = re.compile(re.escape(PREFIX) + rb"[0-9a-f]{16}")
_LOOKED_AT = 20_000
# An upload that has written nothing for so long will write no more: whoever sent it is gone, or the process was killed.
STALE_S = 3600.0
_HAS_NONE = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOSYS)


@contextlib.contextmanager
def arriving(directory: int, name: bytes, *, replace: bool) -> Iterator[int]:
    """A descriptor to write to. What was written is called ``name`` once the block has ended well, and else is gone.

    Raises FileExistsError when something has the name, unless ``replace``."""
    partial = b""
    descriptor = nameless(directory)
    if descriptor is None:
        sweep(directory)
        partial = _fresh()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(partial, flags, 0o600, dir_fd=directory)
    try:
        yield descriptor
        if not partial and not replace:
            _link(descriptor, directory, name)
            return
        if not partial:  # only a rename replaces, and for that it needs a name
            partial = _fresh()
            _link(descriptor, directory, partial)
        if replace:
            os.rename(partial, name, src_dir_fd=directory, dst_dir_fd=directory)
        else:
            beneath.move(directory, partial, directory, name)
    except BaseException:
        if partial:
            with contextlib.suppress(OSError):
                os.unlink(partial, dir_fd=directory)
        raise
    finally:
        os.close(descriptor)


def nameless(directory: int) -> int | None:
    """A new file that is gone with its last descriptor; None where the disk has none such."""
    try:
        return os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=directory)
    except OSError as error:
        if error.errno in _HAS_NONE:
            return None
        raise


def sweep(directory: int) -> None:
    """Remove the half files that killed processes left here."""
    for name, is_directory in beneath.entries(directory, _LOOKED_AT):
        if is_directory or not _PARTIAL.fullmatch(name):
            continue
        with contextlib.suppress(OSError):
            if time.time() - os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime > STALE_S:
                os.unlink(name, dir_fd=directory)


def _fresh() -> bytes:
    return PREFIX + secrets.token_hex(8).encode()


def _link(descriptor: int, directory: int, name: bytes) -> None:
    os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=directory, follow_symlinks=True)
