"""What a page may offer for one row: the actions of its family that this person may do, in one query."""

from __future__ import annotations

from django.db.models import Model

from agents import guarding, permissions
from agents.actions import ACTIONS
from agents.models import User
from agents.standing import reasons


def offers(user: User, row: Model) -> dict[str, bool]:
    """ "edit", "manage", … of this row's family, each with whether ``user`` may do it to ``row``."""
    standing = permissions.standing_of(user, row)
    family = f"{guarding.family(type(row))}."
    may = {
        name.removeprefix(family): bool(reasons(action, standing))
        for name, action in ACTIONS.items()
        if name.startswith(family) and action.level
    }
    # Who may read the history: whoever edits the row, and those who read the audit.
    return {**may, "history": may.get("edit", False) or permissions.may(user, "audit.view")}
