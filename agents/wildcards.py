"""Texts of a shape that people write with a star. Pure."""

from __future__ import annotations


def fits(pattern: str, text: str) -> bool:
    """Is the text of this shape, where * stands for anything? In one pass: no pattern makes it slow."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    last = rest.pop()
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    place, end = len(first), len(text) - len(last)
    for piece in rest:
        place = text.find(piece, place, end)
        if place < 0:
            return False
        place += len(piece)
    return True
