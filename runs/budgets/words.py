"""What people are told about budgets: the figure, its window, and when there is room again."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from agents.errors import Code, LogosError
from agents.models import Agent, User
from runs.budgets.limits import Limit
from runs.budgets.nano import usd
from runs.budgets.windows import WORDS

WHOSE = {
    "site": "this Logos",
    "schedule": "this schedule",
    "conversation": "this chat",
    "run": "this run",
}


class OverBudget(LogosError):
    """A call that a budget does not allow; ``limit`` says which."""

    def __init__(self, message: str, limit: Limit | None, *, action: str, frees_at: datetime | None = None) -> None:
        super().__init__(message, reason=Code.BUDGET_EXCEEDED, action=action, permanent=False)
        self.limit, self.frees_at = limit, frees_at


def dollars(amount: Decimal | int) -> str:
    """``$2.00``; more decimals where there would be nothing but zeros. Whole numbers are billionths."""
    value = usd(amount) if isinstance(amount, int) else amount
    if value and abs(value) < Decimal("0.01"):
        return f"${value:.6f}".rstrip("0") if abs(value) >= Decimal("0.000001") else f"${value:.9f}".rstrip("0")
    return f"${value:,.2f}"


def whose(limit: Limit) -> str:
    """Whom a budget belongs to, by name."""
    if limit.scope == "person":
        return User.objects.filter(pk=limit.value).values_list("username", flat=True).first() or "this person"
    if limit.scope == "agent":
        return Agent.objects.filter(pk=limit.value).values_list("name", flat=True).first() or "this agent"
    return WHOSE[limit.scope]


def is_told_to_all(limit: Limit) -> bool:
    """May whoever reads a run read this budget's amounts? What everybody spends together is the admins' to read."""
    return limit.scope != "site"


def over(limit: Limit, used: int, frees: datetime | None) -> OverBudget:
    """The budget is used up, or what is left does not do."""
    spent = f": {dollars(used)} of {dollars(limit.amount)} {WORDS[limit.window]}" if is_told_to_all(limit) else ""
    if used >= limit.amount:
        said = f"The budget of {whose(limit)} is used up{spent}."
    else:
        reserved = f"{spent} are used or reserved" if spent else ""
        said = f"What is left of the budget of {whose(limit)} does not pay for the next step{reserved}."
    return OverBudget(said, limit, action=_way_forward(limit, frees), frees_at=frees)


def unpriced(limit: Limit, model: str) -> OverBudget:
    """The model's price is unknown, and this budget allows only known ones."""
    return OverBudget(
        f"The price of {model} is unknown, and the budget of {whose(limit)} allows only models with a known price.",
        limit,
        action="Ask an operator to enter the model's prices, or choose another model.",
    )


def unchecked() -> OverBudget:
    """The ledger could not be written, so nothing may be spent."""
    return OverBudget(
        "The budget could not be checked, so the model was not asked.",
        None,
        action="Send the message again in a moment.",
    )


def fell_back(error: OverBudget, limit: Limit, model: str) -> str:
    """Said in the chat when a local model answers in the place of the agent's own."""
    return f"{error.message} {goes_on(error, limit, model)}"


def goes_on(error: OverBudget, limit: Limit, model: str) -> str:
    """The same where the rest was just said."""
    until = f" until {moment(error.frees_at, limit.zone)}" if error.frees_at else " while that is so"
    return f"{model} answers{until}, which costs nothing; then the agent's own model is back by itself."


def moment(at: datetime, zone: str) -> str:
    """``14:05 UTC``, with the day when it is another one."""
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"


def _way_forward(limit: Limit, frees: datetime | None) -> str:
    if frees is None:
        return "Ask an operator to raise it."
    return f"There is room again from {moment(frees, limit.zone)}; an operator can raise it."
