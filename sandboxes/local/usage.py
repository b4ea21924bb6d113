"""What one sandbox uses, as the host sees it: its processes, their memory, its files. Part of the keeper.

Everything measured belongs to somebody who may not want it measured: nothing is followed, nothing is believed, and
what cannot be counted counts as too much. Standard library only.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

DEEPEST = 256  # directories in one another; a tree nobody could walk is no tree of files
_PAGE = os.sysconf("SC_PAGE_SIZE")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Uncountable(Exception):
    """Directories lie deeper in one another than anybody needs."""


def descendants(init: int) -> list[int]:
    """The processes inside, as the host numbers them, without PID 1. All have it above them: orphans become its."""
    found, waiting = [], [init]
    while waiting:
        children = _children(waiting.pop())
        found += children
        waiting += children
    return found


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found += [int(word) for word in file.read().split()]
        except OSError:
            continue
    return found


def resident(pid: int) -> int:
    """Bytes in memory, what is shared with others counted whole; 0 once it is gone."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def proportional(pid: int) -> int:
    """Bytes in memory, what is shared divided among those who share it. A process that does not let itself be looked
    at is counted whole."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resident(pid)


def number_inside(pid: int) -> int | None:
    """Which number a process has in its own namespace; None if it has none of its own."""
    try:
        with open(f"/proc/{pid}/status") as file:
            numbers = next((line.split()[1:] for line in file if line.startswith("NSpid:")), [])
    except OSError:
        return None
    return int(numbers[-1]) if len(numbers) > 1 else None


def on_disk(directories: Iterable[str]) -> int:
    """Bytes that the files below really take; a file with several names counts once. Uncountable if too deep."""
    seen: set[tuple[int, int]] = set()
    return sum(size for directory in directories for size in _sizes(directory, seen))


def _sizes(directory: str, seen: set[tuple[int, int]]) -> Iterator[int]:
    try:
        top = os.open(directory, _DIRECTORY)
    except OSError:
        return
    # One open descriptor for each level, so that no directory moved meanwhile leads the walk elsewhere.
    levels = [(top, _entries(top))]
    try:
        while levels:
            descriptor, entries = levels[-1]
            name = entries.pop() if entries else None
            if name is None:
                os.close(levels.pop()[0])
                continue
            try:
                found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            except OSError:
                continue
            if found.st_nlink == 1 or (found.st_dev, found.st_ino) not in seen:
                yield found.st_blocks * 512
            if stat.S_ISDIR(found.st_mode):
                if len(levels) >= DEEPEST:
                    raise Uncountable
                inner = _open(descriptor, name)
                if inner is not None:
                    levels.append((inner, _entries(inner)))
            elif found.st_nlink > 1:
                seen.add((found.st_dev, found.st_ino))
    finally:
        for descriptor, _ in levels:
            os.close(descriptor)


def _entries(descriptor: int) -> list[str]:
    try:
        return os.listdir(descriptor)
    except OSError:
        return []


def _open(parent: int, name: str) -> int | None:
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    except PermissionError:
        return _open_closed(parent, name)
    except OSError:
        return None


def _open_closed(parent: int, name: str) -> int | None:
    """A directory its owner, who is our user, has closed to itself: otherwise whatever it holds would not count."""
    try:
        place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except OSError:
        return None
    try:
        os.chmod(f"/proc/self/fd/{place}", 0o700)
        return os.open(f"/proc/self/fd/{place}", _DIRECTORY & ~os.O_NOFOLLOW)
    except OSError:
        return None
    finally:
        os.close(place)


def deleted_but_open(pids: Iterable[int], device: int) -> int:
    """Bytes of files without a name that processes hold open: no walk finds them."""
    seen: dict[int, int] = {}
    for pid in pids:
        directory = f"/proc/{pid}/fd"
        try:
            names = os.listdir(directory)
        except OSError:
            continue
        for name in names:
            try:
                found = os.stat(f"{directory}/{name}")
            except OSError:
                continue
            if found.st_nlink == 0 and found.st_dev == device and stat.S_ISREG(found.st_mode):
                seen[found.st_ino] = found.st_blocks * 512
    return sum(seen.values())
