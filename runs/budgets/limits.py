"""Which budgets a model call has to keep to, as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Q, QuerySet

from runs.budgets.nano import Prices, cost, nano
from runs.budgets.windows import begin
from runs.models import Budget, BudgetScope, UnknownPrice

# A budget, and which one of those it holds for.
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Spender:
    """On whose account a call is made. A sub-agent's calls are its run's."""

    run_id: str
    conversation_id: str
    agent_id: str | None
    person_id: int | None
    schedule_id: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """One budget as it concerns one spender. ``column`` and ``value`` say which charges it counts."""

    budget_id: str
    scope: str
    column: str
    value: Any
    window: str
    zone: str
    amount: int
    unknown_price: str
    assumed: Prices
    on_limit: str
    fallback_id: str | None
    is_for_each: bool

    @property
    def bucket(self) -> str:
        """Which one, of a budget that holds for each one."""
        return f"{self.column}:{self.value}"[:60]

    @property
    def key(self) -> Key:
        return self.budget_id, self.bucket

    def since(self, now: datetime) -> datetime | None:
        return begin(self.window, self.zone, now)

    def cost(self, input_tokens: int, output_tokens: int, prices: Prices | None) -> int:
        """What so many tokens count in this budget; ``prices`` None: unknown."""
        if prices is not None:
            return cost(input_tokens, output_tokens, prices)
        return cost(input_tokens, output_tokens, self.assumed) if self.unknown_price == UnknownPrice.ASSUME else 0


def rows_for(spenders: set[Spender]) -> QuerySet[Budget]:
    """The budgets that may concern these, in the order in which they are locked."""
    return (
        Budget.objects.filter(is_active=True)
        .filter(
            Q(scope=BudgetScope.SITE)
            | Q(scope=BudgetScope.PERSON, person_id__in={each.person_id for each in spenders})
            | Q(scope=BudgetScope.PERSON, person=None)
            | Q(
                scope__in=[BudgetScope.AGENT, BudgetScope.RUN, BudgetScope.CONVERSATION, BudgetScope.SCHEDULE],
                agent=None,
            )
            | Q(agent_id__in={each.agent_id for each in spenders})
        )
        .order_by("pk")
    )


def limits_of(spender: Spender, rows: list[Budget]) -> list[Limit]:
    """Those of ``rows`` that concern this spender; all of them hold. One person's own budget takes the place of what
    holds for each person over the same window, and so does one agent's."""
    found = [limit for row in rows if (limit := limit_of(row, spender)) is not None]
    own = {(each.scope, each.window) for each in found if not each.is_for_each}
    replaced = (BudgetScope.PERSON, BudgetScope.AGENT)
    return [
        each for each in found if not (each.is_for_each and each.scope in replaced and (each.scope, each.window) in own)
    ]


def limits_now(spender: Spender) -> list[Limit]:
    """The same, read from the database."""
    return limits_of(spender, list(rows_for({spender})))


def limit_of(row: Budget, spender: Spender) -> Limit | None:
    """This budget as it concerns a spender; None when it does not."""
    place = _place(row, spender)
    if place is None or not place[1]:
        return None
    column, value, is_for_each = place[0], place[1], place[2]
    return Limit(
        budget_id=row.pk,
        scope=row.scope,
        column=column,
        value=value,
        window=row.window,
        zone=row.zone,
        amount=nano(row.amount),
        unknown_price=row.unknown_price,
        assumed=(row.assumed_input or Decimal(0), row.assumed_output or Decimal(0)),
        on_limit=row.on_limit,
        fallback_id=row.fallback_id,
        is_for_each=is_for_each,
    )


def _place(row: Budget, spender: Spender) -> tuple[str, Any, bool] | None:
    """The column of charges this budget counts by, and the value there; None when it does not concern the spender."""
    if row.scope == BudgetScope.SITE:
        return "", "site", False
    if row.scope == BudgetScope.PERSON:
        return (
            ("person_id", spender.person_id, row.person_id is None)
            if row.person_id in (None, spender.person_id)
            else None
        )
    if row.agent_id not in (None, spender.agent_id):
        return None
    if row.scope == BudgetScope.AGENT:
        return "agent_id", spender.agent_id, row.agent_id is None
    values = {
        BudgetScope.SCHEDULE: ("schedule_id", spender.schedule_id),
        BudgetScope.CONVERSATION: ("conversation_id", spender.conversation_id),
        BudgetScope.RUN: ("run_id", spender.run_id),
    }
    column, value = values[BudgetScope(row.scope)]
    return (column, value, not row.subject) if row.subject in ("", value) else None
