"""Presets in the console: one rule a line; everybody who is let in here looks, admins change."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from agents import preset_library
from agents.admin_base import RowAdmin, link
from agents.admin_versions import WRITTEN_FROM, VersionedForm
from agents.errors import Conflict
from agents.models import Preset
from agents.policies import RuleLines


class PresetForm(VersionedForm):
    """A preset's rules as lines."""

    rules = RuleLines(required=False, help_text="One a line, for instance pypi.org : 443 by /usr/bin/git.")

    class Meta:
        model = Preset
        fields = ("name", "category", "description", "rules")


@admin.register(Preset)
class PresetAdmin(RowAdmin):
    """The library that policies include."""

    view_action = "preset.view"
    add_action = "preset.edit"
    change_action = "preset.edit"
    delete_action = "preset.edit"

    form = PresetForm
    page_name = "agents:preset-detail"
    list_display = ("name", "category", "host_count", "comes_with_logos", "updated_at")
    list_filter = ("category",)
    search_fields = ("name", "description", "id")
    ordering = ("name", "pk")

    @admin.display(description="hosts")
    def host_count(self, preset: Preset) -> int:
        return len(preset.hosts)

    @admin.display(description="comes with Logos")
    def comes_with_logos(self, preset: Preset) -> str:
        if preset_library.shipped(preset) is None:
            return "no"
        return "yes, edited" if preset_library.is_edited(preset) else "yes"

    @admin.display(description="History")
    def past(self, preset: Preset) -> Any:
        return link("agents:history", "What it was, and who changed it", "preset", preset.pk)

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        shown: tuple[str, ...] = ("name", "category", "description", "rules")
        if obj is None:
            return shown
        shown = (*shown, "comes_with_logos", "past")
        return (*shown, WRITTEN_FROM) if self.has_change_permission(request, obj) else shown

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return (*super().get_readonly_fields(request, obj), *(("comes_with_logos", "past") if obj else ()))

    def save_model(self, request: HttpRequest, obj: Preset, form: Any, change: bool) -> None:
        if not change:
            obj.id = preset_library.id_from(obj.name)
        super().save_model(request, obj, form, change)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Who uses a preset is shown where Django lists what protects a row."""
        rows = list(objs)
        lacking = set() if all(self.has_delete_permission(request, row) for row in rows) else {"preset"}
        used = [(row, preset_library.use_of(request.user, row).sentence) for row in rows]  # type: ignore[arg-type]
        reasons = [f"{row} is used by {sentence}." for row, sentence in used if sentence]
        return [str(row) for row in rows], {"presets": len(rows)}, lacking, reasons

    def delete_model(self, request: HttpRequest, obj: Preset) -> None:
        preset_library.remove(request.user, obj.pk)  # type: ignore[arg-type]

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Preset]) -> None:
        for preset in queryset:
            try:
                preset_library.remove(request.user, preset.pk)  # type: ignore[arg-type]
            except Conflict as error:
                self.message_user(request, f"{preset}: {error.message}", messages.ERROR)
