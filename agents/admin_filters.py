"""Filters of console lists that ask rather than offer: a list of everything that exists would be long, slow and telling."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.admin.filters import FieldListFilter
from django.contrib.admin.views.main import PAGE_VAR, SEARCH_VAR, ChangeList
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest

from agents import permissions
from agents.models import User

# What a related row is called by people; the first of these that the model has.
_NAMES = ("name", "username", "model", "title")


class TypedFilter(FieldListFilter):
    """A box: exactly this value."""

    template = "admin/typed_filter.html"
    hint = ""

    def __init__(self, field: Any, request: HttpRequest, params: Any, model: Any, model_admin: Any, path: str = "",
                 *, field_path: str = "") -> None:  # fmt: skip
        super().__init__(field, request, params, model, model_admin, field_path or path)
        values = cast(Any, self.used_parameters.get(self.box)) or [""]
        self.typed = str(values[-1]).replace("\0", "")[:200]

    @property
    def box(self) -> str:
        """The parameter that holds what was typed."""
        return self.field_path

    def expected_parameters(self) -> list[str | None]:
        return [self.box]

    def has_output(self) -> bool:
        return True

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(**{self.field_path: self.typed}) if self.typed else queryset

    def choices(self, changelist: ChangeList) -> list[dict[str, Any]]:  # type: ignore[override]
        """One entry: what is typed, and what else narrows the list."""
        own = {*self.expected_parameters(), PAGE_VAR}
        kept = [(name, value) for name, values in changelist.filter_params.items() for value in values]
        if changelist.query:
            kept.append((SEARCH_VAR, changelist.query))
        return [
            {
                "name": self.box,
                "typed": self.typed,
                "hint": self.hint,
                "kept": [pair for pair in kept if pair[0] not in own],
                "clear": changelist.get_query_string(remove=[name for name in self.expected_parameters() if name])
                if self.is_on()
                else "",
            }
        ]

    def is_on(self) -> bool:
        return bool(self.used_parameters)


class VisibleRelatedFilter(TypedFilter):
    """A box for the name of a related row. Only rows this person may see are found by it; a link from elsewhere may
    name one by its id, which finds nothing that was not in the list already."""

    hint = "Name"

    @property
    def box(self) -> str:
        return f"{self.field_path}__named"

    @property
    def by_id(self) -> str:
        return f"{self.field_path}__{cast(Any, self.field).target_field.name}__exact"

    def expected_parameters(self) -> list[str | None]:
        return [self.box, self.by_id]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if chosen := cast(Any, self.used_parameters.get(self.by_id)):
            queryset = queryset.filter(**{self.field_path: str(chosen[-1]).replace("\0", "")})
        if not self.typed:
            return queryset
        related = cast(Any, self.field).remote_field.model
        name = next(each for each in _NAMES if each in {field.name for field in related._meta.fields})
        seen = _seen(request.user, related)
        return queryset.filter(
            **{f"{self.field_path}__in": seen.filter(**{f"{name}__iexact": self.typed}).values("pk")}
        )


def _seen(user: Any, related: Any) -> QuerySet:
    """The rows of ``related`` that may be asked for by name: of people, admins know everybody and others themselves."""
    rows = related._default_manager.order_by()
    if related is User:
        return rows if permissions.may(user, "user.manage") else rows.filter(pk=user.pk)
    if related is Group:
        return rows if permissions.may(user, "user.manage") else rows.filter(user=user)
    return permissions.visible(user, rows)
