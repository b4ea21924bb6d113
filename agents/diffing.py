"""Differences between two texts as pieces a page can draw: by line, and by word inside the lines that changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

_WORDS = re.compile(r"\s+|\w+\s*|[^\w\s]\s*")
# Above this many words on either side of one change its lines are shown whole: word by word nobody reads them,
# and the comparison is quadratic.
MAX_WORDS = 2_000


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text that is "same", "added" or "removed"."""

    kind: str
    text: str


def words(old: str, new: str) -> list[Piece]:
    """The pieces that turn ``old`` into ``new``: the same and removed ones joined are ``old``, the same and added
    ones ``new``, to the letter."""
    pieces: list[Piece] = []
    for piece in _walk(old, new):
        if piece.text and pieces and pieces[-1].kind == piece.kind:
            pieces[-1] = Piece(piece.kind, pieces[-1].text + piece.text)
        elif piece.text:
            pieces.append(piece)
    return pieces


def _walk(old: str, new: str) -> Iterator[Piece]:
    for before, after in _changes(old.splitlines(keepends=True), new.splitlines(keepends=True)):
        if before == after:
            yield Piece("same", before)
            continue
        left, right = _WORDS.findall(before), _WORDS.findall(after)
        if max(len(left), len(right)) > MAX_WORDS:
            yield from (Piece("removed", before), Piece("added", after))
            continue
        for removed, added in _changes(left, right):
            yield from (
                [Piece("same", removed)] if removed == added else [Piece("removed", removed), Piece("added", added)]
            )


def _changes(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Stretches of both, in order: equal where nothing changed."""
    for _, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        yield "".join(old[i1:i2]), "".join(new[j1:j2])
