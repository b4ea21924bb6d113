"""Budgets as people see them: how much of each is used now, the figures of many in one query."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Count, Q, Sum
from django.utils import timezone

from agents import permissions
from agents.models import User
from runs.budgets import setting
from runs.budgets.limits import Limit, Spender, limit_of, limits_of, rows_for
from runs.budgets.nano import usd
from runs.budgets.using import Use, room_again_at, uses_of
from runs.budgets.windows import WORDS
from runs.budgets.words import dollars
from runs.models import Budget, BudgetScope, Charge


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


# A page shows so many of those that concern a chat or a run.
MOST_APPLYING = 6


def applying(viewer: User, spender: Spender) -> list[Shown]:
    """The budgets a call of this spender draws from, as far as ``viewer`` may see them, the fullest first: what others
    spend in all is theirs and the admins'. Three queries."""
    rows = list(rows_for({spender}).select_related("person", "agent"))
    limits = limits_of(spender, rows) if rows else []
    if not limits:
        return []
    seen = set(setting.seen_by(viewer).filter(pk__in=[each.budget_id for each in limits]).values_list("pk", flat=True))
    is_all = permissions.may(viewer, "budget.set")
    known = [
        each
        for each in limits
        if each.budget_id in seen and (is_all or each.scope != BudgetScope.PERSON or each.value == viewer.pk)
    ]
    uses, by_id = uses_of(known, timezone.now()), {row.pk: row for row in rows}
    found = [Shown(by_id[each.budget_id], each, uses[each.key]) for each in known]
    return sorted(found, key=lambda one: -(one.percent or 0))[:MOST_APPLYING]


def spent_by(person: User) -> tuple[Decimal, Decimal, bool]:
    """What somebody's calls cost in the last 24 hours and the last 30 days, and whether more than that: something has
    no price. One query."""
    now = timezone.now()
    lately = Q(opened_at__gt=now - timedelta(days=1))
    rows = Charge.objects.filter(person=person, opened_at__gt=now - timedelta(days=30))
    found = rows.aggregate(
        day=Sum("amount", filter=lately), all=Sum("amount"), odd=Count("pk", filter=Q(is_priced=False))
    )
    return usd(int(found["day"] or 0)), usd(int(found["all"] or 0)), bool(found["odd"])


def _limit(user: User, row: Budget) -> Limit | None:
    subject = row.subject
    person = row.person_id or user.pk
    return limit_of(row, Spender(subject, subject, row.agent_id, person, subject))
