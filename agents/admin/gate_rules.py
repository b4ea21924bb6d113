"""The operators' gate rules in the console: written where they are explained, on the pages; here found, and removed."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from agents import gate_rules
from agents.admin_acting import bulk, who
from agents.admin_base import RecordAdmin, pretty
from agents.admin_filters import VisibleRelatedFilter
from agents.admin_words import ago
from agents.models import GateRule


@admin.register(GateRule)
class GateRuleAdmin(RecordAdmin):
    """What the gate asks about or stops besides what comes with Logos."""

    view_action = "gate.view"

    fields = ("name", "policy", "severity", "answer", "sentence", "looks_for", "made_by", "created_at", "version")
    list_display = ("name", "severity", "answer", "policy", "sentence", "made")
    list_select_related = ("policy", "made_by")
    list_filter = ("severity", "answer", ("policy", VisibleRelatedFilter))
    search_fields = ("name", "sentence")
    ordering = ("name", "pk")
    actions = ("remove",)

    @admin.display(description="looks for")
    def looks_for(self, rule: GateRule) -> SafeString:
        return pretty(rule.when)

    @admin.display(description="made", ordering="created_at")
    def made(self, rule: GateRule) -> SafeString | str:
        return ago(rule.created_at)

    @bulk("Remove", needs="gate.edit", done="Removed", related=("policy",), confirm="The rules stop to hold at once.")
    def remove(self, request: HttpRequest, rule: GateRule) -> None:
        gate_rules.remove(who(request), rule.pk)
