"""Times of learning in the console: who let which agent learn, for which policy, and when it ended."""

from __future__ import annotations

from django.contrib import admin

from agents.admin_base import RecordAdmin
from agents.models import Learning


@admin.register(Learning)
class LearningAdmin(RecordAdmin):
    """To be read by admins; it is begun and ended on the agent's page."""

    view_action = "user.manage"
    fields = ("agent", "policy", "started_by", "started_at", "until", "ended_at", "ended_by")
    list_display = ("agent", "policy", "started_by", "started_at", "until", "ended_at", "ended_by")
    list_select_related = ("agent", "policy", "started_by", "ended_by")
    search_fields = ("agent__name", "policy__name")
    ordering = ("-id",)
