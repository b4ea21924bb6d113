"""What somebody may still spend: on their own page, and on the page of a person for admins."""

from __future__ import annotations

from typing import Any

from agents.models import User
from runs.budgets import showing
from runs.budgets.limits import Spender


def section(viewer: User, found: User) -> dict[str, Any]:
    """The budgets of a person that ``viewer`` may see, each with when there is room again, and what was spent."""
    budgets = showing.applying(viewer, Spender("", "", None, found.pk))
    day, month, is_at_least = showing.spent_by(found)
    return {
        "person": found,
        "budgets": [{"one": one, "frees_at": one.frees_at()} for one in budgets],
        "day": day,
        "month": month,
        "is_at_least": is_at_least,
    }
