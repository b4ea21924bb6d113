"""What a shell text comes down to: words, what flows through pipes, and the simple commands that would run.

Nothing changes them once they are made; that Python does not see to it makes reading twice as quick.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

# Stands for text that is only known when it runs. Readable as shell, so that it may be read again.
UNKNOWN = "$UNKNOWN"
_GLOB = re.compile(r"[*?\[]")


@dataclass(slots=True, eq=False)
class Flow:
    """What goes through a pipe: its text (None when only known when it runs) and the programs it came through."""

    text: str | None = ""
    sources: tuple[str, ...] = ()


NOTHING = Flow()


@dataclass(slots=True, eq=False)
class Word:
    """One word as the shell would hand it to a program, as far as that can be known before it runs."""

    text: str
    known: bool = True
    flow: Flow | None = None  # of a process substitution: what is read from this "file"
    sources: tuple[str, ...] = ()  # the programs whose output is a part of it

    @property
    def path(self) -> str:
        """The word as a path, written the shortest way: ``//etc/../etc/*`` is ``/etc/*``."""
        if not self.text.startswith(("/", "~")):
            return self.text
        return re.sub(r"^//+", "/", posixpath.normpath(self.text))


@dataclass(slots=True, eq=False)
class Act:
    """One simple command that would run, out of every wrapper that stood around it."""

    name: str  # of the program, without its directory; "" for a redirection alone
    args: tuple[Word, ...] = ()
    flags: frozenset[str] = frozenset()  # letters and long names, without dashes; values are not in it
    operands: tuple[Word, ...] = ()
    writes: tuple[Word, ...] = ()
    stdin: Flow = NOTHING
    assigned: tuple[tuple[str, str], ...] = ()
    wrappers: tuple[str, ...] = ()  # outermost first
    traits: frozenset[str] = frozenset()  # what the reader noticed beyond words, by the names rules use
    code: str = ""  # what an interpreter was told to run

    @property
    def line(self) -> str:
        """The command as one line of words."""
        return " ".join([self.name, *(word.text for word in self.args)])

    def shown(self, length: int = 160) -> str:
        """For a finding: one line, not longer than ``length``."""
        line = " ".join(
            [*self.wrappers, *self.line.split(), *(part for word in self.writes for part in (">", word.text))]
        )
        return line if len(line) <= length else f"{line[: length - 1]}…"


def has_glob(text: str) -> bool:
    """Would the shell look for files that this word may mean?"""
    return bool(_GLOB.search(text))
