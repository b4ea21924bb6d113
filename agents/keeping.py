"""Keep the history whole when a row goes: Django empties references and many-to-many rows in bulk, telling nobody.

Before a person is deleted, what they own is saved without an owner; after a group or policy is deleted, whoever had
it is recorded without it. Both inside the transaction of the deletion.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.db.models import SET_NULL, Model
from django.db.models.fields.related import ForeignKey, ManyToManyField
from django.db.models.signals import post_delete, pre_delete

from agents.models.history import Changes


def tracked() -> list[type[Model]]:
    """Every model whose changes are kept."""
    return [model for model in apps.get_models() if hasattr(model._meta, "simple_history_manager_attribute")]


def connect() -> None:
    """Listen to the deletion of everything a tracked model refers to."""
    for model in tracked():
        for field in model._meta.fields:
            if isinstance(field, ForeignKey) and field.remote_field.on_delete is SET_NULL:
                target: Any = field.remote_field.model
                pre_delete.connect(_emptying(model, field), sender=target, weak=False)
        for each in model.history.model._history_m2m_fields:  # type: ignore[attr-defined]
            _watch_members(model, each)


def _emptying(model: type[Model], field: Any) -> Callable[..., None]:
    def empty(instance: Model, **rest: Any) -> None:
        names = {field.name, *({"updated_at"} & {each.name for each in model._meta.fields})}
        for row in model._default_manager.filter(**{field.name: instance}):
            setattr(row, field.name, None)
            row.save(update_fields=names)

    return empty


def _watch_members(model: type[Model], field: ManyToManyField) -> None:
    target: Any = field.remote_field.model
    mark = f"_had_in_{model._meta.label_lower}_{field.name}"

    def remember(instance: Model, **rest: Any) -> None:
        having = model._default_manager.filter(**{field.name: instance})
        instance.__dict__[mark] = list(having.values_list("pk", flat=True))

    def record(instance: Model, **rest: Any) -> None:
        for row in model._default_manager.filter(pk__in=instance.__dict__.pop(mark, ())):
            Changes.of[model].record(row, field.name)

    pre_delete.connect(remember, sender=target, weak=False)
    post_delete.connect(record, sender=target, weak=False)
