"""Where unfold would write styles into a page, link to rows one may not open, or repeat forty classes a field."""

from __future__ import annotations

from typing import Any

from django.db.models import Model
from unfold import fields, widgets

from agents import acting, guarding, permissions
from agents.actions import ACTIONS
from agents.admin_base import pretty
from agents.models import User

_LISTS = ("BASE_INPUT_CLASSES", "INPUT_CLASSES", "DATETIME_CLASSES", "TEXTAREA_CLASSES", "SELECT_CLASSES")
_linked = fields.UnfoldAdminReadonlyField.get_admin_url


def adapt() -> None:
    """Once, before the first form is drawn."""
    for name in _LISTS:
        getattr(widgets, name)[:] = ["field"]
    # Unfold colours JSON with styles in the page, which the content policy forbids.
    fields.prettify_json = lambda data, encoder: pretty(data)
    fields.UnfoldAdminReadonlyField.get_admin_url = _guarded


def _guarded(self: Any, remote_field: Any, remote_obj: Any) -> Any:
    """A link to the row, for those who may open it; its id is in the address."""
    return _linked(self, remote_field, remote_obj) if may_open(acting.actor(), remote_obj) else str(remote_obj)


def may_open(user: User | None, row: Model) -> bool:
    """May this person look at ``row`` in the console?"""
    action = f"{guarding.family(type(row))}.view"
    if action not in ACTIONS:
        return permissions.may(user, "user.manage")
    return bool(permissions.allows(user, action, row))
