"""Calls that may have an effect, written to a file before they are made: what a killed Logos had begun can be told.

A line in a file costs a call hundredths of a millisecond and outlives the process; a row would cost milliseconds. What stands
here of a process that is dead becomes rows when a gateway starts beside it.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from mcp_gateway import calls, jsonrpc
from mcp_gateway.calls import Record
from sandboxes.claimants import is_dead

logger = logging.getLogger(__name__)

# Beyond this the file is written anew with what still goes on.
MAX_BYTES = 8 * 1024 * 1024
SUFFIX = ".begun"
UNRECORDED = "Logos cannot record calls just now, so it makes none that may have an effect."
_KEPT = [each.name for each in fields(Record) if each.name not in ("arguments", "at")]


class Unrecorded(Exception):
    """It could not be written down, so it must not be made."""


class Journal:
    """Of one process: ``owner`` is its name."""

    def __init__(self, directory: Path, owner: str) -> None:
        self._path = directory / f"{quote(owner, safe='')}{SUFFIX}"
        self._fd = -1
        self._size = 0
        self._open: dict[str, bytes] = {}

    def begin(self, record: Record) -> None:
        """Returns once it is written. Raises Unrecorded."""
        line = _line(record)
        try:
            if self._fd < 0:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._fd = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
            if os.write(self._fd, line) != len(line):
                raise OSError("the disk is full")
        except OSError as error:
            logger.error("What an MCP call is about to do could not be written down: %s", error)
            raise Unrecorded from error
        self._size += len(line)
        self._open[record.id] = line

    def stored(self, ids: Iterable[str]) -> None:
        """These calls have rows that say how they ended."""
        for id in ids:
            self._open.pop(id, None)
        if self._fd < 0 or (self._open and self._size < MAX_BYTES):
            return
        if not self._open:
            if self._size:
                os.ftruncate(self._fd, 0)
            self._size = 0
            return
        fresh = self._path.with_suffix(".new")
        fd = os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        os.write(fd, b"".join(self._open.values()))
        os.replace(fresh, self._path)
        os.close(self._fd)
        self._fd, self._size = fd, sum(map(len, self._open.values()))

    def close(self) -> None:
        """The process ends in order: what it began has rows, or stays in the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            if not self._open:
                self._path.unlink(missing_ok=True)


def recover(directory: Path) -> int:
    """What dead processes had begun becomes rows that say so; how many. Whole function with the database."""
    found = 0
    for path in sorted(directory.glob(f"*{SUFFIX}")) if directory.is_dir() else ():
        if not is_dead(unquote(path.name.removesuffix(SUFFIX))):
            continue
        records = [record for line in path.read_bytes().splitlines() if (record := _record(line)) is not None]
        found += calls.interrupted(records)
        path.unlink(missing_ok=True)
    return found


def may_have_an_effect(tool: Mapping[str, Any] | None) -> bool:
    """A tool's call, unless the definition that was accepted says that it only reads."""
    if tool is None:
        return False
    hints = tool.get("annotations")
    return not (isinstance(hints, Mapping) and hints.get("readOnlyHint") is True)


def _line(record: Record) -> bytes:
    """On a line of its own, also after one that was cut off."""
    values = {name: getattr(record, name) for name in _KEPT}
    values["digest"] = record.digest or calls.fingerprint(record.arguments)
    values["at"] = record.at.isoformat()
    return b"\n%b\n" % jsonrpc.dumps(values)


def _record(line: bytes) -> Record | None:
    try:
        values = json.loads(line)
        return Record(**{name: values[name] for name in _KEPT}, at=datetime.fromisoformat(values["at"]))
    except (ValueError, KeyError, TypeError):
        return None
