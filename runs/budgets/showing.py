"""Budgets as people see them: how much of each is used now, the figures of many in one query."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from agents.models import User
from runs.budgets.limits import Limit, Spender, limit_of
from runs.budgets.nano import usd
from runs.budgets.using import Use, room_again_at, uses_of
from runs.budgets.windows import WORDS
from runs.budgets.words import dollars
from runs.models import Budget, BudgetScope


@dataclass(frozen=True, slots=True)
class Shown:
    """One budget and its use; ``use`` None: it holds for each one, so there is no single figure."""

    budget: Budget
    limit: Limit | None
    use: Use | None

    @property
    def percent(self) -> int | None:
        if self.use is None or self.limit is None:
            return None
        return min(100, self.use.amount * 100 // self.limit.amount) if self.limit.amount else 100

    @property
    def level(self) -> str:
        """As the meter is coloured."""
        percent = self.percent or 0
        return "over" if percent >= 100 else "high" if percent >= 80 else ""

    @property
    def figure(self) -> str:
        """at least $0.42 of $2.00 in the last 24 hours"""
        amount = dollars(self.budget.amount)
        if self.use is None:
            return f"{amount} for each, {WORDS[self.budget.window]}"
        least = "at least " if self.use.is_at_least and self.budget.unknown_price != "assume" else ""
        return f"{least}{dollars(usd(self.use.amount))} of {amount} {WORDS[self.budget.window]}"

    @property
    def left(self) -> str:
        if self.use is None or self.limit is None:
            return ""
        return dollars(usd(max(0, self.limit.amount - self.use.amount)))

    @property
    def reserved(self) -> str:
        """What of it is reserved for calls under way; "" for nothing."""
        return dollars(usd(self.use.reserved)) if self.use is not None and self.use.reserved else ""

    def frees_at(self) -> datetime | None:
        """When a budget that is used up has room again. A query."""
        if self.use is None or self.limit is None or self.use.amount < self.limit.amount:
            return None
        return room_again_at(self.limit, self.use.amount, timezone.now())

    @property
    def whose(self) -> str:
        """Whom it limits, in words."""
        budget = self.budget
        if budget.scope == BudgetScope.SITE:
            return "This Logos"
        if budget.scope == BudgetScope.PERSON:
            return budget.person.username if budget.person else "Each person"
        if budget.scope == BudgetScope.AGENT:
            return budget.agent.name if budget.agent else "Each agent"
        what = {"run": "run", "conversation": "chat", "schedule": "schedule"}[budget.scope]
        of = f" of {budget.agent.name}" if budget.agent else ""
        return f"One {what}{of}" if budget.subject else f"Each {what}{of}"


def shown(user: User, budgets: Iterable[Budget]) -> list[Shown]:
    """These with their use; of what holds for each person, one's own. One query."""
    rows = list(budgets)
    limits = {row.pk: limit for row in rows if (limit := _limit(user, row)) is not None}
    uses = uses_of(list(limits.values()), timezone.now())
    return [
        Shown(row, limit, uses[limit.key] if limit is not None else None)
        for row in rows
        for limit in (limits.get(row.pk),)
    ]


def _limit(user: User, row: Budget) -> Limit | None:
    subject = row.subject
    person = row.person_id or user.pk
    return limit_of(row, Spender(subject, subject, row.agent_id, person, subject))
