"""Policies in the console: one rule a line."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from agents.admin.grants import POLICY_GRANTS
from agents.admin_base import SharedAdmin
from agents.admin_versions import VersionedForm
from agents.models import Policy
from agents.policies import RuleLines


class PolicyForm(VersionedForm):
    """A policy's rules as lines."""

    rules = RuleLines(
        required=False, help_text="One a line, for instance pypi.org, *.example.org : 443 by /usr/bin/git."
    )

    class Meta:
        model = Policy
        fields = ("name", "description", "owner", "visibility", "rules", "presets")


@admin.register(Policy)
class PolicyAdmin(SharedAdmin):
    """What agents may reach."""

    view_action = "policy.view"
    add_action = "policy.create"
    change_action = "policy.edit"
    delete_action = "policy.manage"

    form = PolicyForm
    inlines = POLICY_GRANTS
    list_display = ("name", "owner", "seen_by", "host_count", "updated_at")
    list_select_related = ("owner",)
    list_filter = ("visibility",)
    search_fields = ("name", "description")
    ordering = ("name", "pk")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).prefetch_related("presets")

    @admin.display(description="hosts")
    def host_count(self, policy: Policy) -> int:
        return len(policy.hosts)
