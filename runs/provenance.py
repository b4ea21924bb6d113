"""Which words of a request an agent cannot have from a person: they stand in what it read, and nobody wrote them to it (pure).

A name that first appeared in a web page, in a file or in the output of a command is what an injected instruction would
bring; whoever decides should see it at a glance. It is a hint, not proof: a model can also spell a word by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Names of hosts, paths, addresses, packages: words short enough to be looked for, long enough to mean something.
_WORD = re.compile(r"[\w@%+~-][\w@%+~./:-]{4,120}[\w/]")
MAX_WORDS = 150
MAX_READ_CHARS = 2_000_000


@dataclass(frozen=True, slots=True)
class Read:
    """Something the agent read: the text, and the number of the step that brought it."""

    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of the request: where it stands, and the step in which it was first read; 0 for all other pieces."""

    text: str
    seq: int = 0


def spans(text: str, said: Iterable[str], read: Sequence[Read]) -> list[Span]:
    """``text`` in pieces, those marked that are in ``read`` and in nothing a person ``said``."""
    trusted = "\n".join(said).casefold()
    found: dict[str, int] = {}
    pieces: list[Span] = []
    at = 0
    for match in _WORD.finditer(text):
        word = match[0].casefold()
        if word not in found:
            if len(found) >= MAX_WORDS:
                break
            found[word] = 0 if word in trusted else _first(word, read)
        if found[word]:
            pieces += [Span(text[at : match.start()]), Span(match[0], found[word])]
            at = match.end()
    return [piece for piece in (*pieces, Span(text[at:])) if piece.text]


def _first(word: str, read: Sequence[Read]) -> int:
    left = MAX_READ_CHARS
    for each in read:
        if left <= 0:
            break
        if word in each.text[:left].casefold():
            return each.seq
        left -= len(each.text)
    return 0
