"""Pages of a console list: no list counts its rows beyond a limit that nobody would leaf through."""

from __future__ import annotations

from functools import cached_property

from django.core.paginator import Paginator
from django.db.models import QuerySet

CAP = 10_000


class CappedPaginator(Paginator):
    """Counts to ``CAP`` and one more; who looks for something older filters or searches."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        if not isinstance(rows, QuerySet):
            return super().count
        return rows.order_by()[: CAP + 1].count()

    @cached_property
    def num_pages(self) -> int:
        return -(-min(self.count, CAP) // self.per_page) or 1
