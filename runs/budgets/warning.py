"""Say once for each threshold and window how much of a budget is used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q

from runs.budgets import words
from runs.budgets.concerned import threshold_reached
from runs.budgets.limits import Limit
from runs.budgets.using import Use
from runs.budgets.windows import WORDS
from runs.models import BudgetWarning

THRESHOLDS = (50, 80, 100)

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Told:
    """A threshold that a budget has just reached."""

    limit: Limit
    threshold: int
    used: int
    whose: str  # read where the database may be asked: events are made where it may not

    def data(self) -> dict[str, Any]:
        """Of a ``budget.warning`` event."""
        limit = self.limit
        figures = {"used": words.dollars(self.used), "amount": words.dollars(limit.amount)}
        said = ": {used} of {amount} ".format_map(figures) + WORDS[limit.window]
        if not words.is_told_to_all(limit):
            figures, said = {}, ""
        return {
            "budget": limit.budget_id,
            "scope": limit.scope,
            "window": limit.window,
            "percent": self.threshold,
            **figures,
            "text": f"{self.threshold} % of the budget of {self.whose} is used{said}.",
        }


def reached(used: int, amount: int) -> int:
    """The highest threshold that is reached; 0 for none."""
    return max((each for each in THRESHOLDS if amount and used * 100 >= amount * each), default=0)


def warnings_for(uses: list[tuple[Limit, Use]], now: datetime) -> dict[Key, Told]:
    """Write down what was reached for the first time in its window, and return it."""
    high = [(limit, use, level) for limit, use in uses if (level := reached(use.amount, limit.amount))]
    if not high:
        return {}
    known: dict[Key, list[tuple[datetime, int]]] = {}
    which = Q()
    for limit, _, _ in high:
        which |= Q(budget_id=limit.budget_id, bucket=limit.bucket)
    for budget, bucket, at, threshold in BudgetWarning.objects.filter(which).values_list(
        "budget_id", "bucket", "at", "threshold"
    ):
        known.setdefault((budget, bucket), []).append((at, threshold))
    told = {}
    for limit, use, level in high:
        key, since = (limit.budget_id, limit.bucket), limit.since(now)
        if not any(threshold >= level and (since is None or at >= since) for at, threshold in known.get(key, ())):
            told[key] = Told(limit, level, use.amount, words.whose(limit))
    rows = [
        BudgetWarning(budget_id=key[0], bucket=key[1], threshold=each.threshold, used=each.used, at=now)
        for key, each in told.items()
    ]
    written = BudgetWarning.objects.bulk_create(rows)
    if written:
        ids = [row.pk for row in written]
        transaction.on_commit(lambda: [*threshold_reached.send_robust(BudgetWarning, warnings=ids)] and None)
    return told
