"""Every change of a configuration row, kept: what it became, when, by whom and through which door.

Never in it: the fields a model names as ``secret``, not even sealed or hashed. ``QuerySet.update`` passes by
unseen, as with every signal: configuration is changed by ``save``, or the writer records the change itself.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from simple_history.models import HistoricalRecords

from agents import acting


class Door(models.Model):
    """Which door a change came through; "" when Logos made it by itself."""

    via = models.CharField(max_length=10, blank=True, editable=False)

    class Meta:
        abstract = True


class Changes(HistoricalRecords):
    """The history of one model: ``history = Changes(secret=["sealed_key"])``.

    ``secret`` fields are left out; a save of nothing but ``secret`` and ``quiet`` fields leaves no row.
    """

    def __init__(self, *, secret: tuple[str, ...] = (), quiet: tuple[str, ...] = (), **options: Any) -> None:
        self.unseen = {*secret, *quiet}
        super().__init__(
            bases=[Door],
            excluded_fields=sorted(self.unseen),
            get_user=lambda **rest: acting.actor(),
            history_change_reason_field=models.CharField(max_length=300, blank=True, default=""),
            **options,
        )

    def get_history_user(self, instance: models.Model) -> Any:
        return self.get_user(instance=instance)

    def get_change_reason_for_object(self, instance: models.Model, history_type: str, using: Any) -> str:
        return super().get_change_reason_for_object(instance, history_type, using) or ""

    def post_save(
        self, instance: models.Model, created: bool, using: str | None = None, update_fields: Any = None, **rest: Any
    ) -> None:
        if update_fields is not None and not set(update_fields) - self.unseen - {"version", "updated_at"}:
            return
        super().post_save(instance, created, using=using, update_fields=update_fields, **rest)

    def get_extra_fields(self, model: type[models.Model], fields: Any) -> dict[str, Any]:
        # A row of history is a plain record: what it would be called is told by our own pages.
        return {
            **super().get_extra_fields(model, fields),
            "__str__": lambda row: f"{model._meta.verbose_name} {row.pk}",
        }


def note_door(history_instance: Any, **rest: Any) -> None:
    """Receiver of ``pre_create_historical_record``: through which door did it come?"""
    if isinstance(history_instance, Door):
        history_instance.via = acting.door()
