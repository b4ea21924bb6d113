"""The kinds of rows that have a history, how each is called, and who may read the past of which.

A row's past may hold what was taken out of it before it was shared. So it is open to those who may edit the row
now; operators look after the house and read the past of whatever they may see; admins read all of it, also of rows
that are gone. People read their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet

from agents import audit, guarding, keeping, permissions
from agents.actions import ACTIONS
from agents.errors import NotFound
from agents.guarding import GRANTS, HOUSE, Rows
from agents.models import ModelRoute, Role, User

# What can be put back here. Parts of an agent (secrets, documents, consent) have rules of their own.
REVERTED = ("agent", "soul", "route", "policy", "preset", "provider", "person", "group")

# Where the name of a row is kept in its records, when it is not in ``name``.
_NAMES: dict[type[Model], str] = {User: "username", ModelRoute: "model"}


@dataclass(frozen=True, slots=True)
class Past:
    """The history of one row: ``row`` is None when the row itself is gone."""

    kind: str
    model: type[Model]
    pk: Any
    row: Any

    @property
    def records(self) -> QuerySet[Any]:
        """Every version, the oldest first."""
        model: Any = self.model
        return model.history.filter(**{model._meta.pk.attname: self.pk}).order_by("history_id")

    @property
    def is_gone(self) -> bool:
        return self.row is None or bool(getattr(self.row, "is_deleted", False))


@cache
def kinds() -> dict[str, type[Model]]:
    """Every kind by its word: agent, soul, route, policy, provider, person, group and whatever is added. Grants are
    no kind of their own: they are part of what happened to their object."""
    grants = {table for pair in GRANTS.values() for table in pair}
    return {audit.word_for(model): model for model in keeping.tracked() if model not in grants}


def name_field(model: type[Model]) -> str:
    """The field of a model's records that tells what the row was called."""
    fields = {field.name for field in model.history.model._meta.fields}  # type: ignore[attr-defined]
    return _NAMES.get(model) or next(
        (name for name in ("name", "title", "slug", "key", "path", "tool") if name in fields), "history_id"
    )


def readable(user: User, model: type[Model]) -> QuerySet[Any] | None:
    """The rows of ``model`` whose past ``user`` may read; None for all, those that are gone included."""
    rows: QuerySet[Any] = model._default_manager.all()
    if permissions.role_of(user) == Role.ADMIN:
        return None
    if model is User:
        return rows.filter(pk=user.pk)
    if model in HOUSE:
        # Everyone may see what a preset says; what it said is for those who read the audit.
        return permissions.visible(user, rows) if permissions.may(user, "audit.view") else rows.none()
    if model not in GRANTS:
        return _parts_of_readable(user, model, rows)
    kind = guarding.noun(model)
    return permissions.visible(user, rows, f"{kind}.view" if permissions.may(user, "audit.view") else f"{kind}.edit")


def _parts_of_readable(user: User, model: Any, rows: QuerySet[Any]) -> QuerySet[Any]:
    """What belongs to an object has the past of whoever may see it and read the object's."""
    rule = getattr(model, "permission", None)
    if not isinstance(rule, Rows) or rule.owner or not rule.root:
        return rows.none()
    whole = readable(user, rule.root_model)
    seen = permissions.visible(user, rows)
    # To operators the past of what they may see is open, and only what they may see is seen.
    return (
        seen
        if whole is None or permissions.may(user, "audit.view")
        else seen.filter(**{f"{rule.root}__in": whole.order_by().values("pk")})
    )


def managed(user: User, model: type[Model]) -> QuerySet[Any] | None:
    """The rows of ``model`` of which ``user`` may know who has access; None for all."""
    if permissions.role_of(user) == Role.ADMIN:
        return None
    if model not in GRANTS:
        return model._default_manager.none()
    action = f"{guarding.noun(model)}.manage"
    return permissions.visible(user, model._default_manager.all(), action)


def may_read(user: Any, row: Model) -> bool:
    """May ``user`` read the past of this row?"""
    allowed = readable(user, type(row))
    return allowed is None or allowed.filter(pk=row.pk).exists()


def find(user: User, kind: str, row_id: str) -> Past:
    """The past of the row of this kind and id, if ``user`` may read it; NotFound otherwise."""
    model = kinds().get(kind)
    if model is None:
        raise NotFound()
    try:
        pk = model._meta.pk.to_python(row_id)
    except ValidationError:
        raise NotFound(kind.capitalize()) from None
    if isinstance(pk, int) and pk > 2**31 - 1:
        raise NotFound(kind.capitalize())
    allowed = readable(user, model)
    row = (model._default_manager.all() if allowed is None else allowed).filter(pk=pk).first()
    past = Past(kind, model, pk, row)
    if row is None and (allowed is not None or not past.records.exists()):
        raise NotFound(kind.capitalize())
    return past


def may_change(user: User, past: Past) -> bool:
    """May ``user`` put an earlier version back?"""
    if past.is_gone or past.kind not in REVERTED:
        return False
    action = edit_action(past.kind)
    return (
        permissions.may(user, action) if action == "user.manage" else bool(permissions.allows(user, action, past.row))
    )


def edit_action(kind: str) -> str:
    """What it takes to change a row of this kind."""
    return f"{kind}.edit" if f"{kind}.edit" in ACTIONS else "user.manage"


def related(model: type[Model]) -> QuerySet[Any]:
    """The rows of ``model`` with what their names need."""
    rows: QuerySet[Any] = model._default_manager.all()
    return rows.select_related("provider") if model is ModelRoute else rows


def name_of_record(record: Any) -> str:
    """What the row was called at that time."""
    return str(getattr(record, name_field(record.instance_type)))
