"""What agents were let reach beside their policies, in the console: times of learning, hosts allowed for a while."""

from __future__ import annotations

from django.contrib import admin

from agents.admin_base import RecordAdmin
from agents.models import HostGrant, Learning


@admin.register(Learning)
class LearningAdmin(RecordAdmin):
    """To be read by admins; it is begun and ended on the agent's page."""

    view_action = "user.manage"
    fields = ("agent", "policy", "started_by", "started_at", "until", "ended_at", "ended_by")
    list_display = ("agent", "policy", "started_by", "started_at", "until", "ended_at", "ended_by")
    list_select_related = ("agent", "policy", "started_by", "ended_by")
    search_fields = ("agent__name", "policy__name")
    ordering = ("-id",)


@admin.register(HostGrant)
class HostGrantAdmin(RecordAdmin):
    """To be read by admins; given and ended with the approval or the rule it came from."""

    view_action = "user.manage"
    fields = ("agent", "host", "port", "binary", "run_id", "reason", "given_by", "created_at", "until", "ended_at")
    list_display = ("host", "port", "agent", "given_by", "created_at", "until", "ended_at")
    list_select_related = ("agent", "given_by")
    search_fields = ("agent__name", "host")
    ordering = ("-id",)
