"""The filesystem tools, inside: every path is opened below the workspace, and no link is followed."""

from __future__ import annotations

import difflib
import errno
import hashlib
import os
import stat
import time

from sandboxes import beneath
from sandboxes.tool_server.inside.answers import Names, Refused, Told, content, parts_of, root

KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}
DIGEST_MOST = 64 * 1024 * 1024
DIFF_MOST = 1024 * 1024
LISTED_MOST = 20_000
PIECE = 256 * 1024


def read(path: Names, offset: int, length: int) -> Told:
    """A part of a file."""
    descriptor, found = opened(path)
    try:
        raw = os.pread(descriptor, length, offset)
    finally:
        os.close(descriptor)
    answer = {"size": found.st_size, "offset": offset, "bytes": len(raw), **content(raw)}
    answer["is_cut"] = offset + answer["bytes"] < found.st_size
    return answer


def write(path: Names, raw: bytes, mode: str, directories: bool) -> Told:
    """A whole file, or bytes at the end of one."""
    names = parts_of(path)
    with closing(root()) as top:
        if directories:
            make_directories(top, names[:-1])
        with closing(beneath.opened(top, names[:-1], beneath.DIRECTORY)) as directory:
            if mode == "append":
                return appended(directory, names[-1], raw)
            return put(directory, names[-1], raw, mode == "replace")


def appended(directory: int, name: bytes, raw: bytes) -> Told:
    """The bytes at the end of a file that is there or made."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with closing(os.open(name, flags, 0o644, dir_fd=directory)) as descriptor:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Refused("This is no regular file.", "not_a_file")
        fill(descriptor, raw)
        return {"size": os.fstat(descriptor).st_size, "bytes": len(raw)}


def put(directory: int, name: bytes, raw: bytes, replace: bool) -> Told:
    """The file under another name first, so that it is there whole or not at all."""
    partial = b".logos-tool-" + os.urandom(8).hex().encode()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    mode = 0o644
    if replace:
        try:
            before = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            pass
        else:
            if stat.S_ISDIR(before.st_mode):
                raise Refused("A directory has this name.", "name_taken")
            if stat.S_ISREG(before.st_mode):
                mode = stat.S_IMODE(before.st_mode) & 0o777
    descriptor = os.open(partial, flags, mode, dir_fd=directory)
    try:
        with closing(descriptor):
            fill(descriptor, raw)
            os.fchmod(descriptor, mode)
        if replace:
            os.rename(partial, name, src_dir_fd=directory, dst_dir_fd=directory)
        else:
            beneath.move(directory, partial, directory, name)
    except BaseException:
        try:
            os.unlink(partial, dir_fd=directory)
        except OSError:
            pass
        raise
    return {"size": len(raw), "bytes": len(raw)}


def listing(path: Names, after: str, limit: int) -> Told:
    """A page of a directory, by name."""
    with closing(root()) as top, closing(beneath.opened(top, parts_of(path), beneath.DIRECTORY)) as directory:
        found = beneath.entries(directory, LISTED_MOST + 1)
        names = sorted(name for name, _ in found[:LISTED_MOST])
        start = after.encode("latin-1")
        rest = [name for name in names if name > start]
        rows = [row for name in rest[:limit] if (row := entry(directory, name)) is not None]
    following = rest[limit - 1].decode("latin-1") if len(rest) > limit else ""
    return {"entries": rows, "total": len(names), "is_cut": len(found) > LISTED_MOST, "next": following}


def look(path: Names, digest: bool) -> Told:
    """What is known of one name."""
    names = parts_of(path)
    with closing(root()) as top:
        if not names:
            return described(os.fstat(top), b"")
        with closing(beneath.opened(top, names[:-1], beneath.DIRECTORY)) as directory:
            found = entry(directory, names[-1])
            if found is None:
                raise FileNotFoundError(errno.ENOENT, "")
            if found["kind"] == "link":
                found["target"] = os.readlink(names[-1], dir_fd=directory).decode("latin-1")
    if digest and found["kind"] == "file":
        found["sha256"] = digest_of(path)
    return found


def digest_of(path: Names) -> str:
    """The SHA-256 of a file that is not too large."""
    descriptor, found = opened(path)
    with closing(descriptor):
        if found.st_size > DIGEST_MOST:
            raise Refused("The file has more than 64 MB, so no digest of it is made.", "too_large")
        digest = hashlib.sha256()
        left = DIGEST_MOST
        while left > 0 and (piece := os.read(descriptor, PIECE)):
            digest.update(piece)
            left -= len(piece)
        return digest.hexdigest()


def move(path: Names, to: Names) -> Told:
    """Another name or place; nothing is replaced."""
    source, target = parts_of(path), parts_of(to)
    with (
        closing(root()) as top,
        closing(beneath.opened(top, source[:-1], beneath.DIRECTORY)) as above,
        closing(beneath.opened(top, target[:-1], beneath.DIRECTORY)) as goal,
    ):
        beneath.move(above, source[-1], goal, target[-1])
        return entry(goal, target[-1]) or {}


def delete(path: Names, recursive: bool) -> Told:
    """A file or link; a directory when it is empty or ``recursive``."""
    names = parts_of(path)
    with closing(root()) as top, closing(beneath.opened(top, names[:-1], beneath.DIRECTORY)) as directory:
        found = entry(directory, names[-1])
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "")
        if found["kind"] != "directory":
            os.unlink(names[-1], dir_fd=directory)
        elif recursive:
            beneath.remove(directory, names[-1])
        else:
            try:
                os.rmdir(names[-1], dir_fd=directory)
            except OSError as error:
                if error.errno == errno.ENOTEMPTY:
                    raise Refused("The directory is not empty; recursive deletes it with all that is in it.") from None
                raise
    return {"kind": found["kind"]}


def diff(path: Names, other: Names, text: str | None, names: list[str]) -> Told:
    """The unified difference of two texts."""
    before = whole_text(path)
    after = whole_text(other) if text is None else text
    lines = difflib.unified_diff(
        before.splitlines(True), after.splitlines(True), names[0], names[1], n=3
    )  # fmt: skip
    found = "".join(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines)
    return {"diff": found[:DIFF_MOST], "is_cut": len(found) > DIFF_MOST, "is_same": before == after}


def whole_text(path: Names) -> str:
    """The text of a file that is not too large."""
    descriptor, _ = opened(path)
    with closing(descriptor):
        raw = os.pread(descriptor, DIFF_MOST + 1, 0)
    if len(raw) > DIFF_MOST:
        raise Refused("Files of more than 1 MB are not compared.", "too_large")
    try:
        if b"\x00" not in raw:
            return raw.decode("utf-8")
    except UnicodeDecodeError:
        pass
    raise Refused("One of the files is no text, so no difference is shown.", "not_text")


# Small parts


class closing:
    """A descriptor that is closed at the end."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __enter__(self) -> int:
        return self.descriptor

    def __exit__(self, *rest: object) -> None:
        os.close(self.descriptor)


def opened(path: Names) -> tuple[int, os.stat_result]:
    """A regular file, open for reading, and what the kernel knows of it."""
    with closing(root()) as top:
        descriptor = beneath.opened(top, parts_of(path), beneath.READ)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise Refused("This is no regular file, so it has no content to read.", "not_a_file")
    return descriptor, found


def make_directories(top: int, names: tuple[bytes, ...]) -> None:
    """Every directory on the way that is not there yet."""
    for length in range(1, len(names) + 1):
        with closing(beneath.opened(top, names[: length - 1], beneath.DIRECTORY)) as directory:
            try:
                os.mkdir(names[length - 1], 0o755, dir_fd=directory)
            except FileExistsError:
                pass


def fill(descriptor: int, raw: bytes) -> None:
    """All of it."""
    rest = memoryview(raw)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def entry(directory: int, name: bytes) -> Told | None:
    """One name of a directory; None when it has gone."""
    try:
        return described(os.stat(name, dir_fd=directory, follow_symlinks=False), name)
    except FileNotFoundError:
        return None


def described(found: os.stat_result, name: bytes) -> Told:
    """What people want to know of a file."""
    seconds = min(max(found.st_mtime, 0), 4_102_444_800)
    return {
        "name": name.decode("latin-1"),
        "kind": KINDS.get(stat.S_IFMT(found.st_mode), "other"),
        "size": found.st_size,
        "changed_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)),
        "mode": f"{stat.S_IMODE(found.st_mode):04o}",
    }
