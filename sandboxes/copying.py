"""Copy what is in one agent's sandbox into another's, on the host: files as they are, and no link is followed.

The source is whatever an agent made of it, so every step goes through a descriptor of the directory it happens in,
and what is neither file, directory nor link is left out. A part is written aside and put in place when it is whole.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from sandboxes.driver import SandboxError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE = 1024 * 1024

# Where each part lies below an agent's directory.
PLACES: dict[str, tuple[str, ...]] = {
    "files": ("workspace", "home"),
    "notes": ("hermes/memories", "hermes/skills"),
    "sessions": ("hermes/state.db", "hermes/state.db-wal", "hermes/state.db-shm", "hermes/sessions"),
}
MAX_BYTES = 4 * 1024**3
MAX_ENTRIES = 200_000
MAX_DEPTH = 120


@dataclass(slots=True)
class Budget:
    """How much may still be copied; ``beat`` is called on the way, so that others know somebody is at work."""

    owner: int | None
    beat: Callable[[], None] = lambda: None
    bytes_left: int = MAX_BYTES
    entries_left: int = MAX_ENTRIES
    left_out: int = 0

    def take(self, size: int) -> None:
        self.bytes_left -= size
        self.entries_left -= 1
        if self.bytes_left < 0 or self.entries_left < 0:
            raise SandboxError(
                f"There is more than {MAX_BYTES // 1024**3} GB or {MAX_ENTRIES:,} files to copy.",
                reason="too_large",
                action="Copy what is needed by hand, or duplicate without files.",
            )
        if self.entries_left % 200 == 0:
            self.beat()


def copy(source: Path, target: Path, parts: Iterable[str], budget: Budget) -> int:
    """Copy these parts of the sandbox in ``source`` to the one in ``target``, which has never run. How many entries
    were left out, because they are no files or could not be read. SandboxError when it is too much; then nothing of
    an unfinished part is there. OSError when the disk does not obey."""
    target.mkdir(mode=0o711, parents=True, exist_ok=True)
    for place in [place for part in parts for place in PLACES[part]]:
        directory, name = _ends(place)
        aside = f".copying-{name}"
        origin = _open_below(source, directory)
        if origin is None:
            continue
        goal = _made_below(target, directory, budget.owner)
        try:
            _clear(target / directory / aside)
            if _copy_entry(origin, name, goal, aside, budget, 0):
                os.rename(aside, name, src_dir_fd=goal, dst_dir_fd=goal)
        except BaseException:
            _clear(target / directory / aside)
            raise
        finally:
            os.close(goal)
            os.close(origin)
    return budget.left_out


def _ends(place: str) -> tuple[str, str]:
    directory, _, name = place.rpartition("/")
    return directory, name


def _open_below(root: Path, directory: str) -> int | None:
    """The directory in ``root`` where an agent's things lie; None when there is none."""
    try:
        top = os.open(root, _DIRECTORY)
    except FileNotFoundError:
        return None
    if not directory:
        return top
    try:
        return os.open(directory, _DIRECTORY, dir_fd=top)
    except (FileNotFoundError, NotADirectoryError):
        return None
    finally:
        os.close(top)


def _made_below(root: Path, directory: str, owner: int | None) -> int:
    top = os.open(root, _DIRECTORY)
    if not directory:
        return top
    try:
        try:
            os.mkdir(directory, 0o700, dir_fd=top)
            _own(directory, top, owner)
        except FileExistsError:
            pass
        return os.open(directory, _DIRECTORY, dir_fd=top)
    finally:
        os.close(top)


def _copy_entry(source: int, name: str, target: int, new: str, budget: Budget, depth: int) -> bool:
    """One file, link or directory with all that is in it; False when it was left out."""
    try:
        found = os.stat(name, dir_fd=source, follow_symlinks=False)
    except FileNotFoundError:
        return False
    budget.take(found.st_size if stat.S_ISREG(found.st_mode) else 0)
    try:
        if stat.S_ISDIR(found.st_mode):
            _copy_directory(source, name, target, new, budget, depth)
        elif stat.S_ISREG(found.st_mode):
            _copy_file(source, name, target, new, budget.owner)
        elif stat.S_ISLNK(found.st_mode) and depth:
            os.symlink(os.readlink(name, dir_fd=source), new, dir_fd=target)
            _own(new, target, budget.owner)
        else:
            budget.left_out += 1
            return False
    except PermissionError:
        budget.left_out += 1
        return False
    return True


def _copy_directory(source: int, name: str, target: int, new: str, budget: Budget, depth: int) -> None:
    if depth >= MAX_DEPTH:
        budget.left_out += 1
        return
    inner = os.open(name, _DIRECTORY, dir_fd=source)
    try:
        os.mkdir(new, 0o700, dir_fd=target)
        goal = os.open(new, _DIRECTORY, dir_fd=target)
        try:
            with os.scandir(inner) as entries:
                names = [entry.name for entry in entries]
            for each in names:
                _copy_entry(inner, each, goal, each, budget, depth + 1)
            os.fchmod(goal, stat.S_IMODE(os.fstat(inner).st_mode) & 0o777 | 0o700)
            if budget.owner is not None:
                os.fchown(goal, budget.owner, budget.owner)
        finally:
            os.close(goal)
    finally:
        os.close(inner)


def _copy_file(source: int, name: str, target: int, new: str, owner: int | None) -> None:
    reading = os.open(name, _READ, dir_fd=source)
    try:
        found = os.fstat(reading)
        if not stat.S_ISREG(found.st_mode):
            raise PermissionError(name)
        writing = os.open(new, _WRITE, 0o600, dir_fd=target)
        try:
            # Not longer than it was found: a file that grows while it is read would never end.
            left = found.st_size
            while left and (piece := os.read(reading, min(_PIECE, left))):
                left -= len(piece)
                while piece:
                    piece = piece[os.write(writing, piece) :]
            os.fchmod(writing, stat.S_IMODE(found.st_mode) & 0o777)
            if owner is not None:
                os.fchown(writing, owner, owner)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _own(name: str, directory: int, owner: int | None) -> None:
    if owner is not None:
        os.chown(name, owner, owner, dir_fd=directory, follow_symlinks=False)


def _clear(path: Path) -> None:
    """Ours alone: no agent has ever run here."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
