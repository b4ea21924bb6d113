"""Find files by name and lines by what they hold, inside: a walk without links, with an end in time and in number."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from typing import Any

from sandboxes import beneath
from sandboxes.tool_server.inside.answers import Names, Refused, Told, parts_of, root
from sandboxes.tool_server.inside.files import closing

SECONDS = 15.0
MOST_FILES = 50_000
MOST_DEPTH = 64
FILE_MOST = 4 * 1024 * 1024
LINE_MOST = 400


def search(path: Names, text: str, regex: bool, name: str, limit: int) -> Told:
    """Names that fit, or lines that do; what could not be looked at is said."""
    begin = time.monotonic()
    match = matcher(text, regex)
    finds: list[Told] = []
    looked, is_cut = 0, False
    with closing(root()) as top:
        for above, directory, each in walk(top, parts_of(path)):
            looked += 1
            if len(finds) >= limit or looked > MOST_FILES or time.monotonic() - begin > SECONDS:
                is_cut = True
                break
            if name and not fnmatch.fnmatchcase(each.decode("utf-8", "surrogateescape"), name):
                continue
            where = [part.decode("latin-1") for part in (*above, each)]
            if match is None:
                finds.append({"path": where})
            else:
                for number, line in lines_of(directory, each, match):
                    if len(finds) >= limit:
                        is_cut = True
                        break
                    finds.append({"path": where, "line": number, "text": line})
    return {"finds": finds, "looked_at": looked, "is_cut": is_cut}


def matcher(text: str, regex: bool) -> Callable[[str], Any] | None:
    """What says whether a line fits; None when only names are looked for."""
    if not text:
        return None
    if not regex:
        return lambda line: text in line
    try:
        return re.compile(text).search
    except (re.error, OverflowError, RecursionError):
        raise Refused("This is no regular expression.", "invalid_arguments") from None


def walk(top: int, start: tuple[bytes, ...]) -> Iterator[tuple[tuple[bytes, ...], int, bytes]]:
    """Every name below, directories too, as (names above, its directory, name)."""
    waiting = [start]
    while waiting:
        above = waiting.pop()
        try:
            directory = beneath.opened(top, above, beneath.DIRECTORY)
        except OSError:
            if above == start:
                raise
            continue
        with closing(directory):
            for name, is_directory in sorted(beneath.entries(directory, MOST_FILES)):
                if is_directory and len(above) < MOST_DEPTH and name != b".git":
                    waiting.append((*above, name))
                yield above, directory, name


def lines_of(directory: int, name: bytes, match: Callable[[str], Any]) -> Iterator[tuple[int, str]]:
    """The lines of a text file that fit, with their numbers."""
    try:
        descriptor = os.open(name, beneath.READ, dir_fd=directory)
    except OSError:
        return
    with closing(descriptor):
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > FILE_MOST:
            return
        raw = os.pread(descriptor, FILE_MOST, 0)
    if b"\x00" in raw:
        return
    for number, line in enumerate(raw.decode("utf-8", "replace").splitlines(), 1):
        if match(line):
            yield number, line[:LINE_MOST]
