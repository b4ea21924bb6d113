"""When tokens were last used: noted in memory at every message, written down at most once a minute for each."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

EVERY = timedelta(minutes=1)


class TokenUses:
    """Of one process."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._written: dict[int, datetime] = {}

    def note(self, token_id: int) -> None:
        """It opened the door just now."""
        self._seen.add(token_id)

    def due(self, now: datetime) -> list[int]:
        """Those that were used and not written down for a minute; they count as written now."""
        if not self._seen:
            return []
        written = self._written
        found = [each for each in self._seen if each not in written or now - written[each] >= EVERY]
        for each in found:
            self._written[each] = now
        self._seen.difference_update(found)
        return found

    def forget(self, token_ids: list[int]) -> None:
        """They could not be written down: they are due again."""
        for each in token_ids:
            self._written.pop(each, None)
            self._seen.add(each)


def write(token_ids: list[int], now: datetime) -> None:
    """Whole function with the database; never backwards, where two processes write."""
    from mcp_gateway.models import McpToken

    rows = McpToken.objects.filter(pk__in=token_ids)
    rows.filter(last_used_at=None).update(last_used_at=now)
    rows.filter(last_used_at__lt=now).update(last_used_at=now)


def now() -> datetime:
    """The clock of the rows."""
    return timezone.now()
