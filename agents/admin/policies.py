"""Policies in the console: one host a line."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError

from agents.admin.grants import POLICY_GRANTS
from agents.admin_base import SharedAdmin
from agents.models import Policy

# example.org, *.example.org, example.org:8443, 10.0.0.7, [::1]:443
_HOST = re.compile(
    r"(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*(:\d{1,5})?|\[[0-9a-f:]+\](:\d{1,5})?"
)


class HostLines(forms.CharField):
    """Host names, one a line, as a list."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        hosts = [line.strip().lower() for line in (super().clean(value) or "").splitlines() if line.strip()]
        for host in hosts:
            if not _HOST.fullmatch(host):
                raise ValidationError(f"{host[:80]} is not a host name.")
        return list(dict.fromkeys(hosts))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)


class PolicyForm(forms.ModelForm):
    """A policy's hosts as lines."""

    hosts = HostLines(required=False, help_text="One a line, for instance pypi.org or *.example.org.")

    class Meta:
        model = Policy
        fields = ("name", "description", "owner", "visibility", "hosts")


@admin.register(Policy)
class PolicyAdmin(SharedAdmin):
    """What agents may reach, once egress rules are enforced."""

    view_action = "policy.view"
    add_action = "policy.create"
    change_action = "policy.edit"
    delete_action = "policy.manage"

    form = PolicyForm
    inlines = POLICY_GRANTS
    list_display = ("name", "owner", "visibility", "host_count", "updated_at")
    list_select_related = ("owner",)
    list_filter = ("visibility",)
    search_fields = ("name", "description")
    ordering = ("name", "pk")

    @admin.display(description="hosts")
    def host_count(self, policy: Policy) -> int:
        return len(policy.hosts)
