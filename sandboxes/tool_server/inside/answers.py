"""What every operation inside needs: refusals with a reason, names as bytes, and content as text or base64."""

from __future__ import annotations

import base64
import errno
import os
from typing import Any

from sandboxes import beneath

# A path as it travels: its names, one character a byte. And what an operation tells.
Names = list[str]
Told = dict[str, Any]

IN_THE_WAY = (errno.ELOOP, errno.ENOTDIR, errno.EXDEV)


class Refused(Exception):
    """The operation cannot be done; one sentence, and a word for programs."""

    def __init__(self, sentence: str, reason: str = "failed") -> None:
        super().__init__(sentence)
        self.reason = reason


def parts_of(path: Names) -> tuple[bytes, ...]:
    """The names of a path, which travel as latin-1: one character a byte."""
    return tuple(part.encode("latin-1") for part in path)


def root() -> int:
    """A descriptor of the workspace: where we were started."""
    return os.open(".", beneath.DIRECTORY)


def content(raw: bytes) -> dict[str, Any]:
    """Bytes as text where they are text, else as base64."""
    if b"\x00" not in raw:
        try:
            return {"text": raw.decode("utf-8")}
        except UnicodeDecodeError as error:
            if error.start >= len(raw) - 3 and error.reason == "unexpected end of data" and error.start:
                # Cut within a character: the next part begins with it.
                return {"text": raw[: error.start].decode("utf-8"), "bytes": error.start}
    return {"base64": base64.b64encode(raw).decode("ascii")}


def told(error: OSError) -> str:
    """What the kernel says, in words."""
    if error.errno in IN_THE_WAY:
        return "A link or a file is in the way: links are not followed, wherever they lead."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk is full."
    if error.errno == errno.EFBIG:
        return "The file would be larger than the sandbox allows."
    if error.errno == errno.EEXIST:
        return "Something of this name is there already."
    if error.errno == errno.ENOENT:
        return "There is no such file."
    return f"The sandbox refuses it: {os.strerror(error.errno or 0).lower()}."
