"""Lists of prices in the console: what was read, by whom, and what it changed."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from agents.admin_base import RecordAdmin, pretty
from agents.models import PriceList


@admin.register(PriceList)
class PriceListAdmin(RecordAdmin):
    """To be read by admins; the page applies and undoes."""

    view_action = "budget.set"
    page_name = "agents:price-list"
    fields = (
        *("source", "currency", "sha256", "count", "what_changed", "made_by", "created_at"),
        *("applied_by", "applied_at", "undone_by", "undone_at"),
    )
    readonly_fields = ("what_changed",)
    list_display = ("source", "count", "state", "made_by", "created_at", "applied_at", "undone_at")
    list_select_related = ("made_by",)
    search_fields = ("source", "sha256", "id")
    ordering = ("-id",)

    @admin.display(description="changed")
    def what_changed(self, row: PriceList) -> SafeString:
        return pretty(row.changed)
