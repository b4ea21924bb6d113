"""Who is told that something waits, in the console, for admins: which browsers, by mail or not; addresses are not shown."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from agents.admin_acting import bulk
from agents.admin_base import RecordAdmin
from channels_app import devices
from channels_app.models import Notices, PushDevice
from runs.templatetags.run_format import ago


@admin.register(PushDevice)
class PushDeviceAdmin(RecordAdmin):
    """Browsers that take push messages. One that is lost is switched off here."""

    view_action = "user.manage"
    fields = ("user", "name", "failures", "created_at", "reached_at")
    list_display = ("name", "user", "reached", "failures", "since")
    list_select_related = ("user",)
    search_fields = ("=user__username", "name")
    search_help_text = "A person or a browser"
    ordering = ("-pk",)
    actions = ("switch_off",)

    @bulk(
        "Switch off", needs="user.manage", done="Switched off", confirm="They are told nothing more, until they are switched on again.",
        of=lambda device: None, related=("user",),
    )  # fmt: skip
    def switch_off(self, request: HttpRequest, device: PushDevice) -> None:
        devices.remove(device.user, device.pk)

    @admin.display(description="last told", ordering="reached_at")
    def reached(self, device: PushDevice) -> SafeString | str:
        return ago(device.reached_at)

    @admin.display(description="since", ordering="created_at")
    def since(self, device: PushDevice) -> SafeString | str:
        return ago(device.created_at)


@admin.register(Notices)
class NoticesAdmin(RecordAdmin):
    """What each person chose, and when they were last told."""

    view_action = "user.manage"
    fields = ("user", "by_push", "by_mail", "pushed_at", "mailed_at", "owes_mail")
    list_display = ("user", "by_push", "by_mail", "pushed_at", "mailed_at")
    list_select_related = ("user",)
    list_filter = ("by_push", "by_mail")
    ordering = ("user_id",)
