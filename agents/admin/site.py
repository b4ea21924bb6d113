"""One-time links, archives and the site's settings in the console: to be read; their own pages change them."""

from __future__ import annotations

from django.contrib import admin

from agents.admin_base import RecordAdmin
from agents.models import DataExport, OneTimeLink, SiteSettings


@admin.register(OneTimeLink)
class OneTimeLinkAdmin(RecordAdmin):
    """Who was handed a link, and whether it was used; the link itself is stored nowhere."""

    view_action = "user.manage"
    fields = ("purpose", "person", "role", "email", "made_by", "created_at", "expires_at", "used_at")
    list_display = ("purpose", "person", "role", "made_by", "created_at", "expires_at", "used_at")
    list_select_related = ("person", "made_by")
    list_filter = ("purpose",)
    ordering = ("-pk",)


@admin.register(DataExport)
class DataExportAdmin(RecordAdmin):
    """Who asked for whose data, and when it was fetched."""

    view_action = "user.manage"
    fields = ("person", "asked_by", "with_contents", "state", "problem", "size", "created_at", "ready_at",
              "expires_at", "fetched_at")  # fmt: skip
    list_display = ("person", "asked_by", "with_contents", "state", "size", "created_at", "fetched_at")
    list_select_related = ("person", "asked_by")
    list_filter = ("state",)
    ordering = ("-pk",)


@admin.register(SiteSettings)
class SiteSettingsAdmin(RecordAdmin):
    """What admins decided for the whole site."""

    view_action = "user.manage"
    fields = ("private_chats",)
    list_display = ("__str__", "private_chats")
