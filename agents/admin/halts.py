"""Halts in the console: what was stopped, by whom, how far it was taken back, and what confirmed."""

from __future__ import annotations

from django.contrib import admin

from agents.admin_base import RecordAdmin
from agents.models import Halt, HaltStop


@admin.register(Halt)
class HaltAdmin(RecordAdmin):
    """To be read by admins; the page decides."""

    view_action = "halt.person"
    page_name = "agents:halt"
    fields = ("id", "scope", "name", "reason", "stage", "chosen", "by", "at", "lifted_by", "lifted_at")
    list_display = ("__str__", "scope", "stage", "by", "at", "lifted_by", "lifted_at")
    list_filter = ("scope", "stage")
    list_select_related = ("by", "lifted_by")
    search_fields = ("name", "reason", "id")
    ordering = ("-id",)


@admin.register(HaltStop)
class HaltStopAdmin(RecordAdmin):
    """What each halt asked to stop."""

    view_action = "halt.person"
    fields = ("halt", "kind", "subject", "agent", "requested_at", "confirmed_at", "note")
    list_display = ("subject", "kind", "agent", "halt", "requested_at", "confirmed_at")
    list_filter = ("kind",)
    list_select_related = ("agent", "halt")
    search_fields = ("subject",)
    link_lookups = ("halt__id__exact",)
    ordering = ("-id",)
