"""Approvals in the console, who decides them, and the rules people made: read, denied, ended."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from agents.admin_acting import bulk, who
from agents.admin_base import RecordAdmin, pretty
from agents.admin_filters import TypedFilter, VisibleRelatedFilter
from runs import approvals
from runs.models import Approval, ApprovalRule, Panel
from runs.templatetags.run_format import ago


@admin.register(Approval)
class ApprovalAdmin(RecordAdmin):
    """What people were asked for, and who decided."""

    view_action = "run.view"
    page_name = "runs:approval"
    fields = (
        *(
            "kind",
            "tier",
            "agent",
            "run",
            "asked_for",
            "title",
            "what_exactly",
            "purpose",
            "severity",
            "findings_shown",
        ),
        *(
            "subject_hash",
            "state",
            "choice",
            "rule",
            "answer",
            "note",
            "decided_by",
            "decided_at",
            "decided_via",
            "decided_from",
        ),
        *(
            "decided_alone",
            "panel",
            "needed",
            "team_name",
            "escalates_at",
            "escalates_to",
            "escalated_at",
            "expires_at",
            "frozen_at",
            "answered_at",
            "created_at",
        ),
    )
    list_display = ("what", "kind", "state", "agent", "run", "decided_by", "asked", "until")
    list_select_related = ("agent", "run", "decided_by")
    list_filter = (
        "state", "kind", "tier", ("agent", VisibleRelatedFilter), ("severity", TypedFilter), "decided_via",
        ("created_at", admin.DateFieldListFilter),
    )  # fmt: skip
    link_lookups = ("run__id__exact", "agent__id__exact", "decided_by__id__exact")
    search_fields = ("title", "subject", "=run__id")
    search_help_text = "Words of what was asked for, or the id of a run"
    ordering = ("-created_at", "pk")
    actions = ("deny",)

    @bulk(
        "Deny", needs="run.approve", done="Denied", confirm="Their runs go on without what they asked for.",
        note="Reason, told to who asked", of=lambda approval: None, related=("agent", "run", "asked_for"),
    )  # fmt: skip
    def deny(self, request: HttpRequest, approval: Approval) -> None:
        approvals.decide(who(request), approval, "deny", note=request.POST.get("note", ""), via="console")

    @admin.display(description="what", ordering="title")
    def what(self, approval: Approval) -> str:
        return (approval.exact or approval.title)[:80]

    @admin.display(description="what exactly")
    def what_exactly(self, approval: Approval) -> SafeString:
        return pretty(approval.subject)

    @admin.display(description="why it was asked")
    def findings_shown(self, approval: Approval) -> SafeString:
        return pretty(approval.findings)

    @admin.display(description="asked", ordering="created_at")
    def asked(self, approval: Approval) -> SafeString | str:
        return ago(approval.created_at)

    @admin.display(description="until", ordering="expires_at")
    def until(self, approval: Approval) -> SafeString | str:
        return ago(approval.expires_at)


@admin.register(Panel)
class PanelAdmin(RecordAdmin):
    """Who decides what agents ask: read here, said on its own page."""

    view_action = "policy.view"
    page_name = "runs:panel"
    fields = (
        *("policy", "kind", "severity", "needed", "team", "escalate_min", "escalate_to", "note", "is_active"),
        *("made_by", "created_at", "updated_at"),
    )
    list_display = ("__str__", "needed", "team", "escalate_min", "escalate_to", "is_active")
    list_select_related = ("policy", "team", "escalate_to")
    list_filter = ("kind", "severity", "is_active")
    search_fields = ("note", "team__name", "policy__name")
    search_help_text = "A group, a policy, or why"
    ordering = ("-pk",)


@admin.register(ApprovalRule)
class ApprovalRuleAdmin(RecordAdmin):
    """What agents may do unasked for a while, and who let them."""

    view_action = "run.view"
    list_display = ("words", "kind", "scope", "agent", "made_by", "used", "until")
    list_select_related = ("agent", "made_by")
    list_filter = ("kind", "scope", ("created_at", admin.DateFieldListFilter))
    link_lookups = ("agent__id__exact", "run__id__exact")
    search_fields = ("words",)
    search_help_text = "Words of the rule"
    ordering = ("-created_at", "pk")
    actions = ("end",)

    @bulk(
        "End", needs="approval.rules", done="Ended", confirm="What they allowed is asked for again.",
        of=lambda rule: None,
    )  # fmt: skip
    def end(self, request: HttpRequest, rule: ApprovalRule) -> None:
        approvals.revoke(who(request), rule.pk)

    @admin.display(description="until", ordering="expires_at")
    def until(self, rule: ApprovalRule) -> SafeString | str:
        return ago(rule.revoked_at or rule.expires_at)
