"""Counts beside the links of the navigation: what waits for a person, one query for all of them.

A room registers what it counts in its ``AppConfig.ready``::

    badges.register("/runs/", "waits for you", waiting_for)

where ``waiting_for(user)`` answers the rows that wait, or None for somebody to whom they are of no use. Only rows the
person may see may be among them: a count tells that something is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, QuerySet, Value

from agents.models import User

Rows = Callable[[User], "QuerySet[Any] | None"]


@dataclass(frozen=True, slots=True)
class Badge:
    """A number beside a link, and what it counts, for those who hear it."""

    count: int
    words: str


_suppliers: dict[str, tuple[str, Rows]] = {}


def register(path: str, words: str, rows: Rows) -> None:
    """Beside the link to ``path`` stands how many ``rows(user)`` there are. ``words`` follow the number."""
    _suppliers[path] = (words, rows)


def of(user: User) -> dict[str, Badge]:
    """The badges of this person by path, those that are zero left out. At most one query."""
    parts = [
        waiting.order_by().annotate(badge=Value(path)).values("badge").annotate(number=Count("pk"))
        for path, (_, rows) in _suppliers.items()
        if (waiting := rows(user)) is not None
    ]
    if not parts:
        return {}
    found = parts[0].values_list("badge", "number")
    if len(parts) > 1:
        found = found.union(*(part.values_list("badge", "number") for part in parts[1:]), all=True)
    return {path: Badge(count, _suppliers[path][0]) for path, count in found if count}
