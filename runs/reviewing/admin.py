"""The reviewer in the console: read there, changed on its own page."""

from __future__ import annotations

from django.contrib import admin

from agents.admin_base import RecordAdmin
from agents.admin_filters import VisibleRelatedFilter
from runs.models import ReviewedAgent, ReviewerOpinion, ReviewerReversal, ReviewerSettings


@admin.register(ReviewerSettings)
class ReviewerSettingsAdmin(RecordAdmin):
    """What holds everywhere; changed under Approvals, Reviewer."""

    view_action = "reviewer.edit"
    fields = ("is_on", "route", "most", "version")
    list_display = ("__str__", "is_on", "route", "most")
    list_select_related = ("route__provider",)


@admin.register(ReviewedAgent)
class ReviewedAgentAdmin(RecordAdmin):
    """Which agents are reviewed."""

    view_action = "agent.view"
    fields = ("agent", "is_on", "version")
    list_display = ("agent", "is_on")
    list_select_related = ("agent",)
    list_filter = ("is_on", ("agent", VisibleRelatedFilter))
    search_fields = ("agent__name",)
    search_help_text = "The name of an agent"
    ordering = ("-pk",)


@admin.register(ReviewerOpinion)
class ReviewerOpinionAdmin(RecordAdmin):
    """What the reviewer said."""

    view_action = "run.view"
    fields = (
        *("approval", "outcome", "why", "verdict", "confidence", "reason", "route", "model", "call_id"),
        *("latency_ms", "cost", "holder", "asked_at", "deadline_at", "answered_at", "reversed_at", "reversed_by"),
        "created_at",
    )
    list_display = ("approval", "outcome", "why", "verdict", "confidence", "model", "created_at")
    list_select_related = ("approval",)
    list_filter = (
        "outcome", "verdict", ("approval__agent", VisibleRelatedFilter), ("created_at", admin.DateFieldListFilter),
    )  # fmt: skip
    search_fields = ("reason", "=approval__id", "=call_id")
    search_help_text = "Words of its reason, the id of a request or of a model call"
    ordering = ("-created_at", "pk")


@admin.register(ReviewerReversal)
class ReviewerReversalAdmin(RecordAdmin):
    """What the reviewer is not asked about any more."""

    view_action = "run.view"
    fields = ("agent", "kind", "words", "note", "approval", "made_by", "created_at", "undone_at", "undone_by")
    list_display = ("words", "agent", "made_by", "created_at", "undone_at")
    list_select_related = ("agent", "made_by")
    list_filter = ("kind", ("agent", VisibleRelatedFilter))
    search_fields = ("words", "=agent__name")
    search_help_text = "Words of a command, or the name of an agent"
    ordering = ("-pk",)
