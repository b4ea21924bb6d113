"""Every change of a configuration row, kept: what it became, when, by whom and through which door.

Never in it: the fields a model names as ``secret``, not even sealed or hashed. ``QuerySet.update`` passes by
unseen, as with every signal: configuration is changed by ``save``, or the writer records the change itself. What
Django itself changes in bulk when a row is deleted (``SET_NULL``, many-to-many rows) is recorded by ``agents.keeping``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from django.db import models
from simple_history.models import HistoricalRecords

from agents import acting

REASON_LENGTH = 300

# Fields that change with every save, or follow another field.
CONSEQUENCES = frozenset({"version", "updated_at", "is_staff", "is_superuser"})


class Door(models.Model):
    """Which door a change came through ("" when Logos made it by itself), and which fields it changed, by comma."""

    via = models.CharField(max_length=10, blank=True, editable=False)
    changed = models.CharField(max_length=300, blank=True, editable=False)

    class Meta:
        abstract = True


class Changes(HistoricalRecords):
    """The history of one model: ``history = Changes(secret=["sealed_key"])``.

    ``secret`` fields are left out; a save of nothing but ``secret`` and ``quiet`` fields leaves no row.
    """

    # The recorder of each model.
    of: ClassVar[dict[type[models.Model], Changes]] = {}

    def finalize(self, sender: type[models.Model], **rest: Any) -> None:
        super().finalize(sender, **rest)
        if self.cls is sender:
            Changes.of[sender] = self

    def __init__(self, *, secret: tuple[str, ...] = (), quiet: tuple[str, ...] = (), **options: Any) -> None:
        self.unseen = {*secret, *quiet}
        super().__init__(
            bases=[Door],
            excluded_fields=sorted(self.unseen),
            get_user=lambda **rest: acting.actor(),
            history_change_reason_field=models.CharField(max_length=REASON_LENGTH, blank=True, default=""),
            **options,
        )

    def get_history_user(self, instance: models.Model) -> Any:
        return self.get_user(instance=instance)

    def get_change_reason_for_object(self, instance: models.Model, history_type: str, using: Any) -> str:
        given = super().get_change_reason_for_object(instance, history_type, using) or acting.reason()
        return given[:REASON_LENGTH]

    def post_save(
        self, instance: models.Model, created: bool, using: str | None = None, update_fields: Any = None, **rest: Any
    ) -> None:
        if update_fields is not None and not set(update_fields) - self.unseen - {"version", "updated_at"}:
            return
        super().post_save(instance, created, using=using, update_fields=update_fields, **rest)

    def m2m_changed(
        self, instance: Any, action: str, attr: str, pk_set: set[Any] | None, reverse: bool, **rest: Any
    ) -> None:
        """One record for each row that has gained or lost something, from whichever side it was changed."""
        field = self.cls._meta.get_field(attr)
        if action == "pre_clear" and reverse:
            held = self.cls._default_manager.filter(**{attr: instance})
            instance.__dict__["_was_held_by"] = list(held.values_list("pk", flat=True))
        if action not in ("post_add", "post_remove", "post_clear"):
            return
        if not reverse and hasattr(instance, "skip_history_when_saving"):
            # Whoever composes it anew saves it next, and that record tells all of it.
            if pk_set or action == "post_clear":
                instance.__dict__.setdefault("_changed_first", {})[field.name] = True
            return
        if not reverse:
            keys = [instance.pk] if pk_set or action == "post_clear" else []
        else:
            keys = list(pk_set or instance.__dict__.pop("_was_held_by", ()))
        if keys and not reverse and _JOINED in instance.__dict__:
            instance.__dict__["_changed_besides"] = field.name
            return
        for key in keys:
            row = self.cls._default_manager.get(pk=key) if reverse else instance
            self.record(row, field.name)

    def record(self, row: models.Model, attr: str) -> None:
        """Write down that ``attr`` of ``row``, which no save carries, has changed."""
        with _naming(row, attr):
            self.create_historical_record(row, "~")

    def get_meta_options(self, model: type[models.Model]) -> dict[str, Any]:
        """With an index that alone answers which record of each row was the newest at a moment."""
        options = super().get_meta_options(model)
        moments = models.Index(fields=[model._meta.pk.attname, "history_date"])
        return {**options, "indexes": (*options.get("indexes", ()), moments)}

    def get_extra_fields(self, model: type[models.Model], fields: Any) -> dict[str, Any]:
        # A row of history is a plain record: what it would be called is told by our own pages.
        return {
            **super().get_extra_fields(model, fields),
            "__str__": lambda row: f"{model._meta.verbose_name} {row.pk}",
        }


_JOINED = "_joined_in_one_record"


@contextmanager
def one_record(row: models.Model) -> Iterator[None]:
    """What changes in many-to-many fields of ``row`` inside is told by the record of the save that ends it."""
    row.__dict__[_JOINED] = True
    try:
        yield
    finally:
        row.__dict__.pop(_JOINED)
        row.__dict__.pop("_changed_besides", None)


@contextmanager
def _naming(row: models.Model, attr: str) -> Iterator[None]:
    row.__dict__["_changed_besides"] = attr
    try:
        yield
    finally:
        del row.__dict__["_changed_besides"]


def note_door(instance: Any, history_instance: Any, **rest: Any) -> None:
    """Receiver of ``pre_create_historical_record``: through which door did it come, and what has changed?

    The record before stays at hand as ``history_instance.before``."""
    if not isinstance(history_instance, Door):
        return
    record: Any = history_instance
    record.via = acting.door()
    record.before = None
    if record.history_type != "+":
        earlier = type(record).objects.filter(**{instance._meta.pk.attname: instance.pk})
        record.before = earlier.order_by("-history_id").first()
    if record.history_type == "~" and record.before is not None:
        names = [instance.__dict__["_changed_besides"]] if "_changed_besides" in instance.__dict__ else []
        names += instance.__dict__.pop("_changed_first", ())
        record.changed = ",".join([*names, *changes(record.before, record)])[:300]


def changes(before: Any, after: Any) -> list[str]:
    """Names of the fields in which two records of one row differ, but for what changes with every save."""
    return [
        field.name
        for field in type(after).tracked_fields
        if field.name not in CONSEQUENCES
        and field.to_python(getattr(before, field.attname)) != field.to_python(getattr(after, field.attname))
    ]
