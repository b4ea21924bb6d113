"""What hangs off a row, shown below its form in the console: a short table and the way to all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agents import permissions

SHOWN = 10


@dataclass(frozen=True, slots=True)
class Panel:
    """``rows`` are the cells of at most ``SHOWN`` rows this person may see; ``lookup`` is what the console's list of
    ``model`` is narrowed by to show all of them."""

    title: str
    model: type[Model]
    lookup: str
    headers: tuple[str, ...]
    rows: Callable[[HttpRequest, Any], Iterable[Sequence[Any]]]
    needs: str

    def all_url(self, row: Model) -> str:
        return f"{changelist(self.model)}?{self.lookup}={row.pk}"

    def shown(self, request: HttpRequest, row: Model) -> dict[str, Any] | None:
        """What the template draws; None for those whose role does not include it."""
        if not permissions.may(request.user, self.needs):
            return None
        return {
            "title": self.title,
            "headers": self.headers,
            "rows": list(self.rows(request, row)),
            "all_url": self.all_url(row),
        }


def changelist(model: type[Model]) -> str:
    """The address of the console's list of ``model``."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def row_link(row: Model, text: Any = "") -> SafeString:
    """A link to the row's page in the console."""
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', url, text or str(row))


def rows_link(model: type[Model], text: Any, **lookups: Any) -> SafeString:
    """A link to the console's list of ``model``, narrowed."""
    query = "&".join(f"{name}={value}" for name, value in lookups.items())
    return format_html('<a href="{}?{}">{}</a>', changelist(model), query, text)
