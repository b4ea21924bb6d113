"""Remove a sandbox's directory from disk: whatever an agent built in it, and nothing that lies elsewhere.

Every step goes through a descriptor of the directory it happens in, and no link is followed. Directories inside are
emptied one level at a time, their subdirectories moved up first, so that no depth of nesting runs us out of stack,
descriptors or path length. It may be interrupted and done again. The sandbox must have ended: nobody else writes.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from sandboxes.driver import SandboxError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NAME = re.compile(r"box_[0-9a-z]{1,34}")


def remove(agents: Path, name: str) -> bool:
    """Remove the directory ``name`` in ``agents``; False when it is not there. SandboxError for a name that no
    sandbox has, and for something that is not a directory of ours; OSError when the disk does not obey."""
    if not _NAME.fullmatch(name):
        raise _refused(f"{name[:40]!r} is no sandbox's directory")
    try:
        parent = os.open(agents, _DIRECTORY)
    except FileNotFoundError:
        return False
    try:
        if not _is_directory(parent, name):
            return False
        root = _opened(parent, name)
        try:
            _empty(root)
        finally:
            os.close(root)
        os.rmdir(name, dir_fd=parent)
    finally:
        os.close(parent)
    return True


def _is_directory(parent: int, name: str) -> bool:
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(found.st_mode):
        raise _refused("It is not a plain directory")
    if os.geteuid() not in (0, found.st_uid):
        raise _refused("It belongs to another user")
    return True


def _opened(parent: int, name: str) -> int:
    """The directory, made walkable: an agent may have closed it to everybody, also to itself. Opening it does not
    follow a link, and nobody can have put one there since we looked."""
    os.chmod(name, 0o700, dir_fd=parent)
    return os.open(name, _DIRECTORY, dir_fd=parent)


def _empty(root: int) -> None:
    counter = 0
    while entries := _entries(root):
        for name, is_directory in entries:
            if not is_directory:
                os.unlink(name, dir_fd=root)
                continue
            inner = _opened(root, name)
            try:
                for each, is_inner_directory in _entries(inner):
                    if is_inner_directory:
                        counter += 1
                        os.chmod(each, 0o700, dir_fd=inner)
                        _move_up(inner, each, root, counter)
                    else:
                        os.unlink(each, dir_fd=inner)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=root)


def _move_up(source: int, name: str, root: int, number: int) -> None:
    """Give the directory a name in ``root`` that is free there, also after an earlier try was interrupted."""
    target = f".gone-{number}-{os.urandom(6).hex()}"
    os.rename(name, target, src_dir_fd=source, dst_dir_fd=root)


def _entries(directory: int) -> list[tuple[str, bool]]:
    with os.scandir(directory) as found:
        return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]


def _refused(detail: str) -> SandboxError:
    return SandboxError(
        "The agent's files were not removed: what lies in their place is not a sandbox's directory.",
        reason="state_directory",
        detail=detail,
        action="Look at it and remove it by hand.",
    )
