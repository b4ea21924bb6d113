"""Security events of changes, whichever door they come through: watched on the rows, so that no door can forget.

Each history row is compared with the one before it, in the transaction of the change itself. What is not in any
history (a new password, another key) is seen when the row is saved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Model
from django.db.models.signals import post_save, pre_delete, pre_save
from simple_history.signals import post_create_historical_record

from agents import acting, audit
from agents.limits import limit_text
from agents.models import Provider, User
from agents.models.shared import Shareable


def connect() -> None:
    """Listen to all of it."""
    post_create_historical_record.connect(_when_changed)
    post_save.connect(_when_person_saved, sender=User)
    pre_delete.connect(_when_person_goes, sender=User)
    pre_save.connect(_before_provider, sender=Provider)
    post_save.connect(_after_provider, sender=Provider)


def _when_changed(instance: Model, history_instance: Any, **rest: Any) -> None:
    note = _watched(type(instance))
    if note is None:
        return
    if history_instance.history_type == "~":
        if history_instance.before is not None:
            note(instance, history_instance.before, history_instance)
    elif isinstance(instance, User) and history_instance.history_type == "+":
        kind = "applied" if instance.applied_at else "person_added"
        audit.note(kind, person=instance, about=instance, role=instance.role)


def _watched(model: type[Model]) -> Callable[[Any, Any, Any], None] | None:
    if model is User:
        return _note_person
    return _note_shared if issubclass(model, Shareable) else None


def _note_person(person: User, before: Any, after: Any) -> None:
    if before.role != after.role:
        audit.note("role_changed", person=person, about=person, before=before.role, after=after.role)
    # An application that is decided, and an erasure, have words of their own.
    if before.is_active != after.is_active and not before.applied_at and not after.erased_at:
        audit.note("restored" if after.is_active else "suspended", person=person, about=person)
    if before.max_agents != after.max_agents and not after.erased_at:
        audit.note(
            "limit_changed",
            person=person,
            before=limit_text(before.max_agents),
            after=limit_text(after.max_agents),
        )


def _note_shared(row: Any, before: Any, after: Any) -> None:
    if before.visibility != after.visibility:
        audit.note("visibility_changed", about=row, before=before.visibility, after=after.visibility)
    if before.owner_id != after.owner_id:
        names = dict(User.objects.filter(pk__in=[before.owner_id, after.owner_id]).values_list("pk", "username"))
        audit.note(
            "transferred",
            person=User.objects.filter(pk=after.owner_id).first() if after.owner_id else None,
            about=row,
            before=names.get(before.owner_id, ""),
            after=names.get(after.owner_id, ""),
        )


def _when_person_saved(instance: User, created: bool, raw: bool = False, **rest: Any) -> None:
    # Django clears what was typed after the row is saved; a stored hash made newer at sign-in sets nothing here.
    if not created and not raw and getattr(instance, "_password", None) is not None:
        audit.note("password_changed", person=instance)


def _when_person_goes(instance: User, **rest: Any) -> None:
    # The event keeps the name; a reference would go with the person.
    acting.goes(instance)
    audit.note("person_removed", about=instance)


def _before_provider(instance: Provider, raw: bool = False, **rest: Any) -> None:
    stored = None if raw else Provider.objects.filter(pk=instance.pk).values_list("sealed_key", flat=True).first()
    instance.__dict__["key_before"] = stored


def _after_provider(instance: Provider, update_fields: Any = None, **rest: Any) -> None:
    before = instance.__dict__.pop("key_before", None)
    if before is None or (update_fields is not None and "sealed_key" not in update_fields):
        return
    if before != instance.sealed_key:
        audit.note("key_replaced" if instance.sealed_key else "key_removed", about=instance)
