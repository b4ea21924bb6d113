"""Whole numbers as people and programs write them."""

from __future__ import annotations


def whole(text: str, digits: int = 9) -> int | None:
    """The number that ``text`` writes in plain digits, at most ``digits`` of them; None for anything else.

    ``str.isdigit`` alone lets "²" through, which ``int`` refuses, as it does more than 4,300 digits; a database
    refuses what is larger than its columns.
    """
    return int(text) if len(text) <= digits and text.isascii() and text.isdigit() else None
