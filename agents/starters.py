"""Starter souls: files beside this module, offered to everybody who writes a soul and copied when chosen.

They are no rows by themselves, so an upgrade may better them without touching anybody's; a soul made from one notes
which, and the digest it had.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agents import soul_files
from agents.errors import NotFound
from agents.soul_files import Sheet

FOLDER = Path(__file__).parent / "starter_souls"
DEFAULT = "steady-hand"


@dataclass(frozen=True, slots=True)
class Starter:
    """One of them: its file's name, what it says, and the digest of its text."""

    slug: str
    sheet: Sheet
    sha256: str

    @property
    def origin(self) -> str:
        """What a soul made from it notes."""
        return f"starter:{self.slug}@{self.sha256[:12]}"


@cache
def every() -> tuple[Starter, ...]:
    """All of them: the default first, then by name."""
    found = [_read(path) for path in FOLDER.glob("*.md")]
    return tuple(sorted(found, key=lambda starter: (starter.slug != DEFAULT, starter.sheet.name)))


def get(slug: str) -> Starter:
    """The starter of this slug; NotFound when there is none."""
    for starter in every():
        if starter.slug == slug:
            return starter
    raise NotFound("Starter soul")


def _read(path: Path) -> Starter:
    sheet = soul_files.parse(path.read_text(encoding="utf-8"), path.name)
    return Starter(path.stem, sheet, hashlib.sha256(sheet.text.encode()).hexdigest())
