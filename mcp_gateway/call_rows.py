"""Rows of calls, written many at a time by one statement: made into models first, each would cost four times as much, and
whoever calls meanwhile would wait for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from django.db import connection

from mcp_gateway.models import McpCall

# So many values a statement has at most: SQLite takes 32,766.
MOST_VALUES = 16_000

Row = Mapping[str, Any]


def add(rows: Sequence[Row]) -> None:
    """Rows by the names of their columns; one that is there already is left as it is."""
    _write(rows, "DO NOTHING")


def put(rows: Sequence[Row], changed: Sequence[str]) -> None:
    """The same; of one that is there already, these columns become others."""
    sets = ", ".join(f"{_quoted(name)} = EXCLUDED.{_quoted(name)}" for name in changed)
    _write(rows, f"DO UPDATE SET {sets}")


def _write(rows: Sequence[Row], otherwise: str) -> None:
    if not rows:
        return
    names = list(rows[0])
    line = f"({', '.join(['%s'] * len(names))})"
    begin = f"INSERT INTO {_quoted(McpCall._meta.db_table)} ({', '.join(map(_quoted, names))}) VALUES "  # noqa: S608 - names of columns
    end = f" ON CONFLICT ({_quoted('id')}) {otherwise}"
    at_once = MOST_VALUES // len(names)
    with connection.cursor() as cursor:
        for at in range(0, len(rows), at_once):
            part = rows[at : at + at_once]
            values = list(chain.from_iterable(row.values() for row in part))
            cursor.execute(begin + ", ".join([line] * len(part)) + end, values)


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)
