"""Halts as files, for the moment before a row can be written: a database that is busy must not keep anybody from stopping.

Each file in ``LOGOS_HOME/halted`` is one halt of this machine's processes, in force from the moment it is there. Whoever
next can write a row makes one of it (``halting.take_up``) and removes it. Its content may be anything: an empty file
(``touch halted/now``) stops everything.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from django.conf import settings

from agents.halts import STEPS, Held

MAX_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Filed:
    """What a file says: the halt, and who is behind it."""

    path: Path
    held: Held
    by: str = ""


def directory() -> Path:
    """Where they are."""
    return Path(settings.LOGOS_HOME) / "halted"


def write(held: Held, by: str) -> Path:
    """In force once this returns. Written beside and renamed, so that nobody reads half of it."""
    place = directory()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    document = {key: value for key, value in asdict(held).items() if key != "chosen"} | {"by": by}
    half = place / f".{held.id}"
    with open(half, "w", encoding="utf-8") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())
    whole = place / held.id
    half.rename(whole)
    return whole


def read() -> list[Filed]:
    """Every file there is; none is the usual case and costs one look at a directory."""
    try:
        names = sorted(name for name in os.listdir(directory()) if not name.startswith("."))
    except FileNotFoundError:
        return []
    return [_read(directory() / name) for name in names]


def remove(path: Path) -> None:
    """A row says it now, or somebody resumed it; removing twice is removing once."""
    path.unlink(missing_ok=True)


def _read(path: Path) -> Filed:
    """What cannot be understood stops everything: somebody meant to stop something."""
    unreadable = Filed(path, Held(path.name[:40], "everything", reason=f"the file {path.name[:80]} says so"))
    try:
        with open(path, "rb") as file:
            document = json.loads(file.read(MAX_BYTES))
        texts = {name: str(document.get(name, ""))[:300] for name in ("scope", "subject", "name", "reason", "by")}
    except (OSError, ValueError, AttributeError):
        return unreadable
    if texts["scope"] not in STEPS:
        return unreadable
    held = Held(path.name[:40], texts["scope"], texts["subject"][:120], texts["name"][:200], texts["reason"])
    return Filed(path, held, texts["by"])
