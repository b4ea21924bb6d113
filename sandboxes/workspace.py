"""Read and write one agent's workspace from the host, while the agent may do with it whatever it likes.

Everything goes through descriptors below the workspace (``beneath``): links are listed and never followed, pipes,
sockets and devices are listed and never opened for their content. No program of the host is run in it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from agents.errors import Conflict, Invalid, LogosError, NotFound
from sandboxes import beneath, file_names
from sandboxes.arriving import arriving

MOST_LISTED = 20_000  # names read of one directory
PIECE = 256 * 1024
_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}
_FULL = (errno.ENOSPC, errno.EDQUOT)
_IN_THE_WAY = (errno.ELOOP, errno.ENOTDIR, errno.EXDEV)


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a directory. ``kind``: file, directory, link, or other for what is never opened."""

    name: str
    path: str
    kind: str
    size: int
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a directory. ``is_cut``: it holds more names than are read of one."""

    path: str
    entries: list[Entry]
    next: str
    total: int
    is_cut: bool


@dataclass(slots=True)
class Opened:
    """A regular file, open for reading. Whoever has it closes it."""

    descriptor: int
    entry: Entry

    def pieces(self) -> Iterator[bytes]:
        """What was in it when it was opened, not more if it grows; closes it at the end."""
        left = self.entry.size
        try:
            while left and (piece := os.read(self.descriptor, min(PIECE, left))):
                left -= len(piece)
                yield piece
        finally:
            self.close()

    def beginning(self, most: int) -> bytes:
        """The first bytes; closes it."""
        try:
            return os.pread(self.descriptor, most, 0)
        finally:
            self.close()

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    # Who asked for a download may leave before its first piece is read, and then nothing in ``pieces`` runs.
    __del__ = close


class Workspace:
    """The directory of one agent's files on this host; a context manager. ``owner``: the host user they belong to,
    None for our own. NotFound while there is none."""

    def __init__(self, root: Path, owner: int | None) -> None:
        self._owner = owner
        try:
            top = os.open(root, beneath.DIRECTORY)
            try:
                self._root = os.open("workspace", beneath.DIRECTORY, dir_fd=top)
            finally:
                os.close(top)
        except OSError as error:
            raise NotFound("The workspace", action="It is made when the sandbox is first prepared.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._root)

    def listing(self, path: str, after: str = "", most: int = 100) -> Listing:
        """A page of the directory: directories first, then by name, from behind ``after``."""
        parts = file_names.parsed(path)
        with _told(), self._opened(parts) as directory:
            found = beneath.entries(directory, MOST_LISTED + 1)
            names = sorted(found[:MOST_LISTED], key=_order)
            begin = _order(_place(after)) if after else None
            rest = [each for each in names if begin is None or _order(each) > begin]
            page = rest[:most]
            rows = [row for name, _ in page if (row := _entry(directory, parts, name)) is not None]
        return Listing(
            path=file_names.joined(parts),
            entries=rows,
            next=_behind(page[-1]) if len(rest) > most else "",
            total=len(names),
            is_cut=len(found) > MOST_LISTED,
        )

    def file(self, path: str) -> Opened:
        """The file, opened. Invalid for what is no regular file."""
        parts = _named(path)
        with _told():
            descriptor = beneath.opened(self._root, parts, beneath.READ)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            what = "a directory" if stat.S_ISDIR(found.st_mode) else "no regular file"
            raise Invalid(f"This is {what}, so it has no content to show.", field="path", reason="not_a_file")
        return Opened(descriptor, _described(found, parts[:-1], parts[-1]))

    def find(self, path: str) -> Entry:
        """What has this name, without opening it."""
        *above, name = _named(path)
        with _told(), self._opened(tuple(above)) as directory:
            entry = _entry(directory, tuple(above), name)
        if entry is None:
            raise NotFound("This file")
        return entry

    def put(self, path: str, pieces: Iterable[bytes], most: int, *, replace: bool = False) -> Entry:
        """A new file of this content, whole or not at all. Conflict when something has the name, unless ``replace``;
        Invalid (reason "too_large") beyond ``most`` bytes, and then nothing is left."""
        *above, name = _named(path)
        with _told(_DIRECTORY), self._opened(tuple(above)) as directory:
            with arriving(directory, name, replace=replace) as descriptor:
                _fill(descriptor, pieces, most)
                os.fchmod(descriptor, 0o644)
                self._own(descriptor)
            entry = _entry(directory, tuple(above), name)
        if entry is None:
            raise Conflict("The agent removed it in the same moment.", action="Send it again.")
        return entry

    def make_directory(self, path: str) -> Entry:
        """A new directory in one that is there."""
        *above, name = _named(path)
        with _told(_DIRECTORY), self._opened(tuple(above)) as directory:
            os.mkdir(name, 0o755, dir_fd=directory)
            made = os.open(name, beneath.DIRECTORY, dir_fd=directory)
            try:
                self._own(made)
                return _described(os.fstat(made), tuple(above), name)
            finally:
                os.close(made)

    def move(self, path: str, to: str) -> Entry:
        """Another name or place. Conflict when something is there."""
        (*above, name), (*goal, new) = _named(path), _named(to, "to")
        with _told(), self._opened(tuple(above)) as source, self._opened(tuple(goal)) as target:
            beneath.move(source, name, target, new)
            entry = _entry(target, tuple(goal), new)
        if entry is None:
            raise Conflict("The agent moved it in the same moment.", action="Look again.")
        return entry

    def remove(self, path: str) -> None:
        """The file or link, or the directory with all that is in it."""
        *above, name = _named(path)
        with _told(), self._opened(tuple(above)) as directory:
            os.stat(name, dir_fd=directory, follow_symlinks=False)
            beneath.remove(directory, name)

    @contextlib.contextmanager
    def _opened(self, parts: tuple[bytes, ...]) -> Iterator[int]:
        directory = beneath.opened(self._root, parts, beneath.DIRECTORY)
        try:
            yield directory
        finally:
            os.close(directory)

    def _own(self, descriptor: int) -> None:
        if self._owner is not None:
            os.fchown(descriptor, self._owner, self._owner)


def _named(path: str, field: str = "path") -> tuple[bytes, ...]:
    parts = file_names.parsed(path)
    if not parts:
        raise Invalid("Name a file or directory in the workspace.", field=field)
    return parts


def _fill(descriptor: int, pieces: Iterable[bytes], most: int) -> None:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > most:
            raise too_large(most)
        while piece:
            piece = piece[os.write(descriptor, piece) :]


def too_large(most: int) -> Invalid:
    """The refusal of a file beyond the cap."""
    return Invalid(
        f"A file may have {most // 1024**2} MB here.",
        field="file",
        reason="too_large",
        action="Nothing of it was kept. The agent can fetch larger ones itself, if a policy lets it.",
    )


def _order(each: tuple[bytes, bool]) -> tuple[bool, bytes]:
    return (not each[1], each[0])


def _behind(each: tuple[bytes, bool]) -> str:
    return ("d/" if each[1] else "f/") + file_names.written(each[0])


def _place(after: str) -> tuple[bytes, bool]:
    kind, _, name = after.partition("/")
    parts = file_names.parsed(name)
    if kind not in ("d", "f") or len(parts) != 1:
        raise Invalid("This is not the `next` of a page.", field="after")
    return parts[0], kind == "d"


def _entry(directory: int, above: tuple[bytes, ...], name: bytes) -> Entry | None:
    try:
        return _described(os.stat(name, dir_fd=directory, follow_symlinks=False), above, name)
    except FileNotFoundError:  # gone since it was listed
        return None


def _described(found: os.stat_result, above: tuple[bytes, ...], name: bytes) -> Entry:
    return Entry(
        name=file_names.shown(name),
        path=file_names.joined((*above, name)),
        kind=_KINDS.get(stat.S_IFMT(found.st_mode), "other"),
        size=found.st_size,
        changed_at=_moment(found.st_mtime),
    )


def _moment(seconds: float) -> datetime:
    """An agent may give a file any time there is, and some there are not."""
    return datetime.fromtimestamp(min(max(seconds, 0), 4_102_444_800), UTC)


_DIRECTORY = "The directory to put it in"


@contextlib.contextmanager
def _told(missing: str = "This file") -> Iterator[None]:
    """What the disk says, in our words."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(missing) from error
    except FileExistsError as error:
        raise Conflict(
            "Something of this name is there already.", reason="name_taken", action="Choose another name."
        ) from error
    except IsADirectoryError as error:
        raise Conflict("A directory has this name.", reason="name_taken", action="Choose another name.") from error
    except TimeoutError as error:
        raise Conflict(
            "There is more in it than is deleted at once, or something goes on writing there. Part of it is gone.",
            reason="not_all_removed",
            action="Delete it again, or stop the sandbox first.",
        ) from error
    except OSError as error:
        if error.errno in _FULL:
            raise LogosError(
                "The disk is full.", reason="disk_full", action="Remove something, then try again."
            ) from error
        if error.errno in _IN_THE_WAY:
            raise Invalid(
                "A link or a file is in the way: links are not followed here, wherever they lead.",
                field="path",
                reason="not_followed",
            ) from error
        raise Invalid(
            f"The disk refuses it: {(os.strerror(error.errno or 0)).lower()}.", field="path", reason="refused_by_disk"
        ) from error
