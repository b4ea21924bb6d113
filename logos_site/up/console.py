"""What ``up`` prints: its own sentences, and the children's lines in short."""

from __future__ import annotations

import re
import shutil
import sys
import threading
from typing import TextIO

# The time at the start of a log line: a person who looks at the console knows what time it is.
_TIME = re.compile(r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\S* ")
_FRAME = re.compile(r"^(Traceback |  |\s*\^+\s*$|During handling|The above exception|$)")
# Background work tells of every process it starts; that is for the log file.
_CHATTER = re.compile(r"^INFO\s+django-q:|\"level\": \"INFO\", \"logger\": \"django-q\"")
WIDEST = 160


class Console:
    """Lines for the person who started Logos."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._lock = threading.Lock()

    def say(self, sentence: str = "") -> None:
        self._print(sentence)

    def echo(self, source: str, line: str) -> None:
        """A child's line without its time, cut to the width; tracebacks stay in the log file."""
        line = _TIME.sub("", line)
        if not _FRAME.match(line) and not _CHATTER.search(line):
            width = min(shutil.get_terminal_size((WIDEST, 24)).columns, WIDEST)
            self._print(f"{source:<8} {line}"[:width])

    def _print(self, line: str) -> None:
        try:
            with self._lock:
                self._out.write(line + "\n")
                self._out.flush()
        except (OSError, ValueError):
            pass  # the terminal has gone; the log file has everything
