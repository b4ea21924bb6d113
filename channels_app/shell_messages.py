"""What a page may say to a shell besides what is typed: that its window has another size, and how much it has drawn."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.errors import Invalid
from sandboxes.terminal import MOST_CELLS

_MOST_CHARS = 200
_MOST_BYTES = 2**31


@dataclass(frozen=True, slots=True)
class Size:
    """The window has so many rows and columns."""

    rows: int = 24
    columns: int = 80


@dataclass(frozen=True, slots=True)
class Drawn:
    """So many more bytes of what was sent have been drawn."""

    size: int


def read(text: str) -> Size | Drawn:
    """``{"rows": 24, "columns": 80}`` or ``{"drawn": 4096}``. Invalid for anything else."""
    said: Any = None
    if len(text) <= _MOST_CHARS:
        with contextlib.suppress(ValueError):
            said = json.loads(text)
    match said:
        case {"rows": rows, "columns": columns} if len(said) == 2:
            return Size(_number(rows, MOST_CELLS), _number(columns, MOST_CELLS))
        case {"drawn": size} if len(said) == 1:
            return Drawn(_number(size, _MOST_BYTES))
    raise Invalid("This is no message to a terminal.", field="message")


def size_of(query: Mapping[str, Sequence[str]]) -> Size:
    """The window's size as the address says it; what most have when it does not."""
    try:
        return Size(*(_number(int(query[name][0]), MOST_CELLS) for name in ("rows", "columns")))
    except (KeyError, ValueError, Invalid):
        return Size()


def _number(value: Any, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise Invalid(f"Numbers lie between 1 and {most}.", field="message")
    return value
