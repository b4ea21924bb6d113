"""Differences by word: nothing is lost, and only what changed is marked."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from agents.diffing import MAX_WORDS, Piece, words


def old_of(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces if piece.kind != "added")


def new_of(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces if piece.kind != "removed")


def test_one_changed_word_is_marked_alone() -> None:
    assert words("Be calm.\nBe exact.\n", "Be calm.\nBe very exact.\n") == [
        Piece("same", "Be calm.\nBe "),
        Piece("added", "very "),
        Piece("same", "exact.\n"),
    ]


@given(st.text(alphabet="ab \n.", max_size=60), st.text(alphabet="ab \n.", max_size=60))
def test_both_texts_can_be_read_back(old: str, new: str) -> None:
    pieces = words(old, new)

    assert (old_of(pieces), new_of(pieces)) == (old, new)
    assert all(piece.text for piece in pieces)


def test_a_long_line_is_shown_whole_instead_of_compared_forever() -> None:
    old, new = "a b " * MAX_WORDS, "b c " * MAX_WORDS

    started = time.process_time()
    pieces = words(old, new)

    assert [piece.kind for piece in pieces] == ["removed", "added"]
    assert time.process_time() - started < 50
