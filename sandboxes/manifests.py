"""What lay in an agent's workspace when a run ended: a light list, beside the sandbox, where the agent cannot write.

Names, sizes and digests within caps; the contents of small texts too, once each, so that two runs can be compared later.
A file whose size, times and number are as they were is not read again. Whatever was left out is said.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sandboxes import beneath, file_names
from sandboxes.arriving import arriving, sweep

MOST_FILES = 5_000
MOST_READ_BYTES = 64 * 1024**2
MOST_SECONDS = 5.0
MOST_DEPTH = 40
KEPT_TEXT_BYTES = 64 * 1024
KEPT_BYTES = 4 * 1024**2  # of texts, per run
KEPT_RUNS = 50
_RUN = re.compile(r"run_[0-9a-z]{1,40}")
_PIECE = 256 * 1024


@dataclass(slots=True)
class Manifest:
    """The list. ``files``: path to [size, digest or "", mark]; ``is_cut``: there was more than is listed."""

    run_id: str
    taken_at: float
    files: dict[str, list[object]] = field(default_factory=dict)
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One file that differs: added, removed or changed, with its sizes and digests before and after."""

    path: str
    kind: str
    sizes: tuple[int | None, int | None]
    digests: tuple[str, str]


def take(root: Path, run_id: str) -> Manifest:
    """Write the list for the run that has just ended. OSError when there is no workspace or the disk is full."""
    place = _place(root, run_id)
    place.parent.mkdir(mode=0o700, exist_ok=True)
    (place.parent / "texts").mkdir(mode=0o700, exist_ok=True)
    earlier = _newest(root)
    manifest = Manifest(run_id, time.time())
    with _workspace(root) as workspace:
        _Walk(workspace, place.parent / "texts", earlier.files if earlier else {}, manifest).go()
    _write(place, gzip.compress(json.dumps(asdict(manifest)).encode()))
    _tidy(root)
    return manifest


def of(root: Path, run_id: str) -> Manifest | None:
    """The run's list; None when it has none, or none any more."""
    try:
        return Manifest(**json.loads(gzip.decompress(_place(root, run_id).read_bytes())))
    except (OSError, ValueError, TypeError, EOFError):
        return None


def runs(root: Path) -> list[str]:
    """The runs that have a list, the newest first."""
    return [path.name.removesuffix(".json.gz") for path in _lists(root)]


def text_of(root: Path, digest: str) -> str | None:
    """The text with this digest, if it is still kept."""
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        return None
    try:
        return gzip.decompress((root / "engine/runs/texts" / digest).read_bytes()).decode()
    except (OSError, ValueError, EOFError):
        return None


def compare(old: Manifest, new: Manifest) -> list[Change]:
    """What differs, by path. A file without a digest counts as changed when its size or times differ. Of a list that
    is cut, nothing is called added or removed that may only not have been listed."""
    found = []
    for path in sorted(old.files.keys() | new.files.keys()):
        before, after = old.files.get(path), new.files.get(path)
        if before is None and not old.is_cut and after is not None:
            found.append(_change(path, "added", None, after))
        elif after is None and not new.is_cut and before is not None:
            found.append(_change(path, "removed", before, None))
        elif before is not None and after is not None and _differ(before, after):
            found.append(_change(path, "changed", before, after))
    return found


def _differ(before: list[object], after: list[object]) -> bool:
    return before[1] != after[1] if before[1] and after[1] else before[::2] != after[::2]


def _change(path: str, kind: str, before: list[object] | None, after: list[object] | None) -> Change:
    sizes = tuple(None if each is None else int(str(each[0])) for each in (before, after))
    digests = tuple("" if each is None else str(each[1]) for each in (before, after))
    return Change(path, kind, (sizes[0], sizes[1]), (digests[0], digests[1]))


class _Walk:
    """One walk over the workspace within the caps."""

    def __init__(self, root: int, texts: Path, known: dict[str, list[object]], into: Manifest) -> None:
        self._root, self._texts, self._known, self._into = root, texts, known, into
        self._read_left, self._kept_left = MOST_READ_BYTES, KEPT_BYTES
        self._until = time.monotonic() + MOST_SECONDS

    def go(self) -> None:
        waiting: list[tuple[bytes, ...]] = [()]
        while waiting:
            parts = waiting.pop()
            try:
                directory = beneath.opened(self._root, parts, beneath.DIRECTORY)
            except OSError:  # gone, or closed
                continue
            try:
                for name, is_directory in beneath.entries(directory, MOST_FILES + 1):
                    if len(self._into.files) >= MOST_FILES or time.monotonic() > self._until:
                        self._into.is_cut = True
                        return
                    if not is_directory:
                        self._note(directory, (*parts, name))
                    elif len(parts) < MOST_DEPTH:
                        waiting.append((*parts, name))
                    else:
                        self._into.is_cut = True
            finally:
                os.close(directory)

    def _note(self, directory: int, parts: tuple[bytes, ...]) -> None:
        try:
            found = os.stat(parts[-1], dir_fd=directory, follow_symlinks=False)
        except OSError:
            return
        if not stat.S_ISREG(found.st_mode):
            return
        path, mark = file_names.joined(parts), f"{found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"
        known = self._known.get(path)
        is_same = known is not None and bool(known[1]) and [known[0], known[2]] == [found.st_size, mark]
        digest = str(known[1]) if known is not None and is_same else self._digest(directory, parts[-1], found.st_size)
        self._into.files[path] = [found.st_size, digest, mark]

    def _digest(self, directory: int, name: bytes, size: int) -> str:
        if size > self._read_left:
            return ""
        try:
            descriptor = os.open(name, beneath.READ, dir_fd=directory)
        except OSError:
            return ""
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return ""
            seen, left, kept = hashlib.sha256(), size, b""
            while left and (piece := os.read(descriptor, min(_PIECE, left))):
                left -= len(piece)
                seen.update(piece)
                kept += piece if size <= KEPT_TEXT_BYTES else b""  # all of it, or it is another text than its digest
        except OSError:
            return ""
        finally:
            os.close(descriptor)
        self._read_left -= size
        self._keep(seen.hexdigest(), kept)
        return seen.hexdigest()

    def _keep(self, digest: str, content: bytes) -> None:
        place = self._texts / digest
        if not content or len(content) > self._kept_left or b"\x00" in content or place.exists():
            return
        with contextlib.suppress(UnicodeDecodeError):
            content.decode()
            _write(place, gzip.compress(content))
            self._kept_left -= len(content)


def _write(place: Path, content: bytes) -> None:
    """Whole or not at all, also when another process writes the same, or this one is killed."""
    with (
        _opened(place.parent) as directory,
        arriving(directory, os.fsencode(place.name), replace=True) as descriptor,
        os.fdopen(descriptor, "wb", closefd=False) as file,
    ):
        file.write(content)


@contextlib.contextmanager
def _opened(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, beneath.DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _workspace(root: Path) -> Iterator[int]:
    top = os.open(root, beneath.DIRECTORY)
    try:
        workspace = os.open("workspace", beneath.DIRECTORY, dir_fd=top)
    finally:
        os.close(top)
    try:
        yield workspace
    finally:
        os.close(workspace)


def _place(root: Path, run_id: str) -> Path:
    if not _RUN.fullmatch(run_id):
        raise FileNotFoundError(run_id)
    return root / "engine/runs" / f"{run_id}.json.gz"


def _lists(root: Path) -> list[Path]:
    found = (root / "engine/runs").glob("run_*.json.gz")
    return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def _newest(root: Path) -> Manifest | None:
    return next((found for run_id in runs(root)[:1] if (found := of(root, run_id)) is not None), None)


def _tidy(root: Path) -> None:
    """Forget the oldest lists, and the texts no list names any more."""
    for directory in (root / "engine/runs", root / "engine/runs/texts"):
        with _opened(directory) as descriptor:
            sweep(descriptor)
    lists = _lists(root)
    if len(lists) <= KEPT_RUNS:
        return
    for path in lists[KEPT_RUNS:]:
        path.unlink(missing_ok=True)
    named = {str(row[1]) for run_id in runs(root) if (each := of(root, run_id)) for row in each.files.values()}
    for path in (root / "engine/runs/texts").iterdir():
        if path.name not in named and not path.name.startswith("."):  # that one is being written for another run
            path.unlink(missing_ok=True)
