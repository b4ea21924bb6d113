"""Install an agent's documents into its sandbox's directories before a run, and take away what was withdrawn.

These directories are the agent's: it may have put a link, a folder or a pipe wherever a document belongs. So every
step goes through descriptors that follow no link, a file is replaced by renaming a new one over its name, and what
the agent made of a document is kept beside it. What was installed last is remembered where the agent cannot write.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from agents.documents import MAX_BYTES, PROFILE
from sandboxes.arriving import arriving

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_NUMBERED = 50  # versions of one day; further ones get a random end


@dataclass(frozen=True, slots=True)
class Document:
    """A text and where it goes. ``is_restored``: put back before every run, else only when configuration changed it."""

    path: str
    text: str
    is_restored: bool = True


def place_of(path: str) -> tuple[str, ...]:
    """Where a document lies below the agent's directory on the host, part by part."""
    return ("hermes", "memories", PROFILE) if path == PROFILE else ("workspace", *path.split("/"))


def install(root: Path, documents: Sequence[Document], uid: int | None) -> None:
    """Bring the agent's copies in step. ``uid`` is the host user they belong to, None for our own. OSError when the
    disk is full or a directory cannot be written."""
    record = root / "engine" / "documents.json"
    if not documents and not record.exists():
        return
    record.parent.mkdir(mode=0o700, exist_ok=True)
    with _remembered(record) as known:
        for document in documents:
            _install(root, document, known.get(document.path), uid)
            known[document.path] = _digest(document.text.encode())
        for path in known.keys() - {document.path for document in documents}:
            _withdraw(root, path, known.pop(path))


@contextlib.contextmanager
def _remembered(record: Path) -> Iterator[dict[str, str]]:
    """Path to digest of what was installed last; written back at the end. One process at a time."""
    with os.fdopen(os.open(record, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before = file.read()
        try:
            known = {str(path): str(digest) for path, digest in json.loads(before or "{}").items()}
        except (ValueError, AttributeError):  # cut off by a full disk: what differs then counts as the agent's
            known = {}
        yield known
        after = json.dumps(known, sort_keys=True)
        if after != before:
            file.seek(0)
            file.write(after)
            file.truncate()


def _install(root: Path, document: Document, last: str | None, uid: int | None) -> None:
    *folders, name = place_of(document.path)
    content = document.text.encode()
    with _opened(root, folders, uid) as directory:
        found = _digest_at(directory, name)
        if found == _digest(content):
            return
        if last == _digest(content) and not document.is_restored:
            return  # it was installed as it is, and what became of it is the agent's affair
        if found is not None and found != last:
            _put_aside(directory, name)
        _write(directory, name, content, uid)


def _withdraw(root: Path, path: str, last: str) -> None:
    *folders, name = place_of(path)
    # When a folder of the way is gone or is none any more, so is the copy.
    with contextlib.suppress(OSError), _opened(root, folders, None, make=False) as directory:
        if _digest_at(directory, name) == last:
            os.unlink(name, dir_fd=directory)


@contextlib.contextmanager
def _opened(root: Path, folders: Sequence[str], uid: int | None, *, make: bool = True) -> Iterator[int]:
    """A descriptor of the folder ``folders`` lead to below ``root``, made on the way where it is missing."""
    directory = os.open(root, _DIRECTORY)
    try:
        for folder in folders:
            inner = _step(directory, folder, uid, make)
            os.close(directory)
            directory = inner
        yield directory
    finally:
        os.close(directory)


def _step(directory: int, name: str, uid: int | None, make: bool) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=directory)
    except FileNotFoundError:
        if not make:
            raise
    except NotADirectoryError:  # a link as well
        if not make:
            raise
        _put_aside(directory, name)
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=directory)
        if uid is not None:
            os.chown(name, uid, uid, dir_fd=directory, follow_symlinks=False)
    return os.open(name, _DIRECTORY, dir_fd=directory)


def _digest_at(directory: int, name: str) -> str | None:
    """The digest of the file of this name, None when nothing has the name, "" for what is no document."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError:
        return ""
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
            return ""
        return _digest(os.pread(descriptor, MAX_BYTES + 1, 0))
    finally:
        os.close(descriptor)


def _write(directory: int, name: str, content: bytes, uid: int | None) -> None:
    with arriving(directory, os.fsencode(name), replace=True) as descriptor:
        os.fchmod(descriptor, 0o644)
        if uid is not None:
            os.fchown(descriptor, uid, uid)
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
        if _is_folder(directory, name):
            _put_aside(directory, name)


def _put_aside(directory: int, name: str) -> None:
    """Keep what the agent has under ``name`` as ``name.agent-DATE``."""
    with contextlib.suppress(FileNotFoundError):
        os.rename(name, _free_name(directory, name), src_dir_fd=directory, dst_dir_fd=directory)


def _free_name(directory: int, name: str) -> str:
    first = f"{name}.agent-{datetime.now(UTC):%Y-%m-%d}"
    for other in (first, *(f"{first}-{number}" for number in range(2, _MOST_NUMBERED + 1))):
        try:
            os.stat(other, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return other
    return f"{name}.agent-{secrets.token_hex(8)}"


def _is_folder(directory: int, name: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
