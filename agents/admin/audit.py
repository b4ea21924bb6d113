"""Security events in the console, for admins to read; the page /audit/ shows them together with changes."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from agents.admin_base import RecordAdmin, pretty
from agents.audit import EVENTS
from agents.models import SecurityEvent


class EventKindFilter(admin.SimpleListFilter):
    """The kinds by their words."""

    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(EVENTS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


@admin.register(SecurityEvent)
class SecurityEventAdmin(RecordAdmin):
    """Nobody adds, changes or deletes one."""

    view_action = "user.manage"
    fields = (
        *("at", "kind", "actor", "person", "object_kind", "object_id", "object_name"),
        *("via", "address", "details"),
    )
    readonly_fields = ("details",)
    list_display = ("at", "what", "actor", "person", "object_kind", "object_name", "via", "address")
    list_select_related = ("actor", "person")
    list_filter = (EventKindFilter, "via", "at")
    search_fields = ("actor__username", "person__username", "object_name", "object_id", "address")
    ordering = ("-at", "-id")

    @admin.display(description="what", ordering="kind")
    def what(self, event: SecurityEvent) -> str:
        return EVENTS.get(event.kind, event.kind)

    @admin.display(description="detail")
    def details(self, event: SecurityEvent) -> SafeString:
        return pretty(event.detail)
