"""The versions of one row, numbered from the oldest, a page at a time and one by one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agents.errors import NotFound
from agents.models import User
from agents.past.comparing import labels
from agents.past.kinds import Past, name_of_record

PAGE_SIZE = 25
WHAT = {"+": "made", "~": "changed", "-": "deleted"}


@dataclass(frozen=True, slots=True)
class Version:
    """One version: what it was is in ``record``."""

    number: int
    at: datetime
    by: User | None
    via: str
    type: str
    reason: str
    changed: tuple[str, ...]
    name: str
    record: Any

    @property
    def what(self) -> str:
        """made, changed or deleted."""
        return WHAT[self.type]

    @property
    def labels(self) -> list[str]:
        """The fields it changed, as people call them."""
        return labels(self.changed)


def listed(past: Past, below: int | None = None, size: int = PAGE_SIZE) -> tuple[list[Version], int]:
    """The versions numbered below ``below`` (None: the newest ones), the newest first, and how many there are."""
    total = past.records.count()
    end = total if below is None else max(0, min(below - 1, total))
    begin = max(0, end - size)
    found = list(past.records.select_related("history_user")[begin:end])
    return [_version(record, begin + index + 1) for index, record in enumerate(found)][::-1], total


def one(past: Past, number: int) -> Version:
    """The version of this number; NotFound when there is none."""
    if not 1 <= number <= 2**31:
        raise NotFound("This version")
    found = list(past.records.select_related("history_user")[number - 1 : number])
    if not found:
        raise NotFound("This version")
    return _version(found[0], number)


def _version(record: Any, number: int) -> Version:
    return Version(
        number,
        record.history_date,
        record.history_user,
        record.via,
        record.history_type,
        record.history_change_reason,
        tuple(filter(None, record.changed.split(","))),
        name_of_record(record),
        record,
    )
