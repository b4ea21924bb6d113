"""The one log of ``up``: every line of both processes with the time and who said it, kept below a size."""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

_TIMED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
ROTATE_AT_BYTES = 20 * 1024 * 1024


class LogFile:
    """Appends lines to one file. At 20 MB it becomes ``NAME.1`` (the older one is dropped) and a new one begins."""

    def __init__(self, path: Path, rotate_at_bytes: int = ROTATE_AT_BYTES) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self._limit = rotate_at_bytes
        self._open()

    def write(self, source: str, line: str) -> None:
        """Add one line, with a time unless it brings its own; JSON stays JSON. A full disk loses the line only."""
        if not line.startswith("{"):
            time = "" if _TIMED.match(line) else f"{datetime.now():%Y-%m-%d %H:%M:%S} "
            line = f"{source:<8} {time}{line}"
        data = f"{line}\n".encode(errors="replace")
        try:
            if self._size + len(data) > self._limit:
                self._file.close()
                self._open()
            self._file.write(data)
            self._size += len(data)
        except OSError:
            pass

    def close(self) -> None:
        self._file.close()

    def _open(self) -> None:
        if self.path.exists() and self.path.stat().st_size >= self._limit // 2:
            # Half, so that a start never begins with a file that is about to turn.
            self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._file: BinaryIO = os.fdopen(descriptor, "ab", buffering=0)
        self._size = self.path.stat().st_size
