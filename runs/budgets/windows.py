"""When the time a budget counts begins, and when it has room again. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

DAY = timedelta(hours=24)

WORDS = {"day": "in the last 24 hours", "month": "this month", "life": "in all"}


def begin(window: str, zone: str, now: datetime) -> datetime | None:
    """Since when spending counts; None for always."""
    if window == "day":
        return now - DAY
    if window == "month":
        local = now.astimezone(ZoneInfo(zone))
        return local.replace(day=1, hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
    return None


def next_month(zone: str, now: datetime) -> datetime:
    """When the next month begins in ``zone``."""
    local = now.astimezone(ZoneInfo(zone)).replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    year, month = (local.year + 1, 1) if local.month == 12 else (local.year, local.month + 1)
    return local.replace(year=year, month=month).astimezone(UTC)


def frees_at(
    window: str, zone: str, now: datetime, spent: Iterable[tuple[datetime, int]], excess: int
) -> datetime | None:
    """When ``excess`` will have left the window, given what was ``spent`` when, the oldest first; None for never."""
    if window == "month":
        return next_month(zone, now)
    if window == "day":
        left = excess
        for at, amount in spent:
            left -= amount
            if left <= 0:
                return at + DAY
    return None
