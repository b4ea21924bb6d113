"""Times in the console as everywhere: how long ago, the exact time on hover, in lists, records and inlines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin
from django.db.models import DateTimeField, Model
from django.http import HttpRequest
from django.utils.safestring import SafeString

from agents.admin_words import ago


class RelativeTimes:
    """Shows ``created_at`` and its like as a column of its own, ``created_at_ago``; forms that edit one keep it.

    Mixed into admins and inlines, before Django's class."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        model: type[Model] = self.model  # type: ignore[attr-defined]
        self._told = {f.name: f"{f.name}_ago" for f in model._meta.fields if isinstance(f, DateTimeField)}
        for field in model._meta.fields:
            if field.name in self._told:
                setattr(self, self._told[field.name], _column(field.name, str(field.verbose_name)))

    def get_list_display(self, request: HttpRequest) -> Any:
        return self._relative(super().get_list_display(request))  # type: ignore[misc]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self._relative(super().get_readonly_fields(request, obj))  # type: ignore[misc]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        only_read = not self.has_change_permission(request, obj)  # type: ignore[attr-defined]
        fixed = set(self.get_readonly_fields(request, obj))
        told = {name: shown for name, shown in self._told.items() if only_read or shown in fixed}
        return [
            (heading, {**options, "fields": [told.get(name, name) for name in options["fields"]]})
            for heading, options in super().get_fieldsets(request, obj)  # type: ignore[misc]
        ]

    def _relative(self, names: Iterable[Any]) -> tuple[Any, ...]:
        return tuple(self._told.get(name, name) for name in names)


def _column(name: str, words: str) -> Callable[[Model], SafeString | str]:
    @admin.display(description=words, ordering=name, empty_value="-")
    def shown(row: Model) -> SafeString | str:
        return ago(getattr(row, name)) or "-"

    return shown
