"""Change a row that others may be changing too: the version one read must still be the one that is stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Model, QuerySet

from agents import four_eyes, permissions
from agents.errors import Conflict
from agents.models import User

M = TypeVar("M", bound=Model)


class Stale(Conflict):
    """Somebody saved first. ``row`` is what is stored now, so that a form can show the difference and keep its draft."""

    def __init__(self, row: Any) -> None:
        super().__init__(
            "Somebody saved this first.",
            reason="stale",
            action="Look at what they changed, then save yours again.",
        )
        self.row = row


@contextmanager
def editing(user: User, action: str, rows: QuerySet[M], pk: str, version: int | None) -> Iterator[M]:
    """The row of this id, locked until the block ends, if ``user`` may do ``action`` to it and nobody has saved it
    since ``version`` (None: whatever is stored). Everything inside happens or nothing. Raises NotFound or Stale."""
    with four_eyes.proposing(user), transaction.atomic():
        row: Any = permissions.fetch(user, action, rows.select_for_update(of=("self",)), pk=pk)
        check_version(row, version)
        yield row


def check_version(row: Any, version: int | None) -> None:
    """Raises Stale unless ``version`` is the stored one or None."""
    if version is not None and row.version != version:
        raise Stale(row)
