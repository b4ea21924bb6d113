"""MCP servers in the console."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from copy import copy
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

from agents import permissions
from agents.admin.grants import grant_inlines
from agents.admin_base import RecordAdmin, SharedAdmin
from agents.admin_versions import VersionedForm
from agents.errors import Invalid, LogosError
from agents.models import User
from mcp_gateway import servers
from mcp_gateway.models import (
    McpAccess,
    McpAccount,
    McpCall,
    McpCategory,
    McpClient,
    McpConnection,
    McpHealth,
    McpLease,
    McpPin,
    McpSampling,
    McpSecret,
    McpServer,
    McpServerGroupGrant,
    McpServerUserGrant,
    McpToken,
)
from mcp_gateway.sampling import setting

# What has a form with room for it, on the server's own pages.
ELSEWHERE = (*setting.FIELDS, "max_result_kb", "max_argument_kb", "masks_keys", "resources")
SET_HERE = tuple(name for name in servers.WRITTEN if name not in ELSEWHERE)


class McpServerForm(VersionedForm):
    """A server with the rules of ``mcp_gateway.servers``."""

    asker: User  # given by the console

    class Meta:
        model = McpServer
        fields = (*SET_HERE, "owner", "visibility")
        help_texts = {
            "command": "Runs on this machine, in a sandbox of its own or as Logos itself does. Only admins may set it."
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        is_private = bool(cleaned.get("allows_private", self.instance.allows_private))
        for name in servers.WRITTEN:
            if name in cleaned:
                with self._told():
                    cleaned[name] = servers.check({name: cleaned[name]}, allows_private=is_private)[name]
        if not self.errors:
            with self._told():
                filled = self._as_filled(cleaned)
                servers.check_whole(filled)
                setting.check_whole(filled)
                if not self.instance._state.adding:
                    self._require(filled)
        return cleaned

    def _require(self, filled: McpServer) -> None:
        """The same as at every other door: some of it is for whoever manages the server."""
        try:
            servers.require_change(self.asker, filled, servers.written(self.instance))
        except LogosError as error:
            why = "Only whoever manages the server changes who gives access to it."
            raise ValidationError(str(error) if error.reason != "not_found" else why) from error

    def _as_filled(self, cleaned: dict[str, Any]) -> McpServer:
        filled = copy(self.instance)
        for name in set(servers.WRITTEN) & cleaned.keys():
            setattr(filled, name, cleaned[name])
        return filled

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except Invalid as error:
            field = error.field if error.field in self.fields else None
            self.add_error(field, ValidationError(f"{error.message} {error.action}".strip()))


@admin.register(McpServer)
class McpServerAdmin(SharedAdmin):
    """MCP servers: how each is started and how it is."""

    view_action = "server.view"
    add_action = "server.create"
    change_action = "server.edit"
    delete_action = "server.manage"

    form: type[forms.ModelForm] = McpServerForm
    inlines = grant_inlines(McpServerUserGrant, McpServerGroupGrant, "server.manage")
    list_display = ("name", "category", "state", "owner", "seen_by", "enabled", "updated_at")
    list_select_related = ("owner", "health")
    list_filter = ("enabled", "category", "visibility")
    search_fields = ("name", "description", "category")
    ordering = ("name", "pk")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and permissions.may(request.user, "server.launch")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fixed = super().get_readonly_fields(request, obj)
        return fixed if permissions.may(request.user, "server.launch") else (*fixed, *servers.LAUNCH, *servers.REACH)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            servers.forget_accounts(obj, servers.written(McpServer.objects.get(pk=obj.pk)))
        super().save_model(request, obj, form, change)
        McpHealth.objects.get_or_create(server=obj)

    @admin.display(description="state")
    def state(self, server: McpServer) -> str:
        return server.health.get_state_display()


@admin.register(McpSecret)
class McpSecretAdmin(RecordAdmin):
    """Which secrets servers have; never their values."""

    view_action = "server.view"
    fields = ("server", "name", "set_by", "set_at")
    list_display = ("name", "server", "set_by", "set_at")
    list_select_related = ("server", "set_by")
    search_fields = ("name", "server__name")
    ordering = ("name", "pk")


@admin.register(McpHealth)
class McpHealthAdmin(RecordAdmin):
    """How each server was when the gateway last looked, with what it wrote and what is started of it."""

    view_action = "server.edit"
    fields = (
        "server",
        "state",
        "reason",
        "since",
        "starts",
        "protocol",
        "title",
        "walls",
        "tools",
        "errors",
        "launch_accepted",
    )
    list_display = ("server", "state", "since", "starts", "protocol")
    list_select_related = ("server",)
    list_filter = ("state",)
    search_fields = ("server__name", "reason")
    ordering = ("server__name",)


@admin.register(McpPin)
class McpPinAdmin(RecordAdmin):
    """Tools as they were accepted, and what waits to be."""

    view_action = "server.view"
    fields = ("server", "tool", "state", "definition", "offered", "accepted_by", "accepted_at", "updated_at")
    list_display = ("tool", "server", "state", "accepted_by", "updated_at")
    list_select_related = ("server", "accepted_by")
    list_filter = ("state",)
    search_fields = ("tool", "server__name")
    ordering = ("server__name", "tool", "pk")


@admin.register(McpCategory)
class McpCategoryAdmin(RecordAdmin):
    """What holds for every server of a category; changed with ``./logos mcp category``."""

    view_action = "tool.site"
    fields = ("name", "access", "calls", "updated_at")
    list_display = ("name", "access", "calls", "updated_at")
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return McpCategory.objects.all()


@admin.register(McpAccess)
class McpAccessAdmin(RecordAdmin):
    """Which agents may use which servers, and might."""

    view_action = "access.view"
    fields = ("agent", "server", "given_by", "reason", "created_at", "expires_at", "revoked_at", "revoked_by")
    list_display = ("agent", "server", "given_by", "created_at", "expires_at", "revoked_at")
    list_select_related = ("agent", "server", "given_by")
    search_fields = ("agent__name", "server__name", "reason")
    ordering = ("-id",)


@admin.register(McpToken)
class McpTokenAdmin(RecordAdmin):
    """Tokens of agents for clients outside; never their secrets."""

    view_action = "access.give"
    fields = ("agent", "name", "hint", "made_by", "created_at", "expires_at", "last_used_at", "revoked_at")
    list_display = ("name", "agent", "hint", "made_by", "created_at", "expires_at", "last_used_at", "revoked_at")
    list_select_related = ("agent", "made_by")
    search_fields = ("name", "agent__name")
    ordering = ("-created_at", "-pk")


@admin.register(McpCall)
class McpCallAdmin(RecordAdmin):
    """Every call of every agent to MCP servers."""

    view_action = "mcpcall.view"
    fields = (
        *("agent", "server_name", "method", "tool", "outcome", "reason", "duration_ms"),
        *("decision", "arguments_digest", "argument_bytes", "result_bytes", "via", "run_id", "at"),
    )
    list_display = ("at", "agent", "server_name", "tool", "outcome", "took", "via")
    list_select_related = ("agent",)
    list_filter = ("outcome", "decision", "via")
    search_fields = ("tool", "server_name", "agent__name")
    ordering = ("-id",)

    @admin.display(ordering="duration_ms")
    def took(self, call: McpCall) -> str:
        return f"{call.duration_ms:.1f} ms"


@admin.register(McpSampling)
class McpSamplingAdmin(RecordAdmin):
    """What servers asked of models; never the words."""

    view_action = "server.edit"
    fields = (
        *("server_name", "tool", "outcome", "reason", "model", "hint", "asked_tokens", "max_tokens"),
        *("input_tokens", "output_tokens", "cost", "duration_ms", "run_id", "call_id", "model_call_id", "at"),
    )
    list_display = ("at", "server_name", "tool", "outcome", "model", "cost", "took")
    list_filter = ("outcome",)
    search_fields = ("tool", "server_name")
    ordering = ("-id",)

    @admin.display(ordering="duration_ms")
    def took(self, asked: McpSampling) -> str:
        return f"{asked.duration_ms:.1f} ms"


@admin.register(McpConnection)
class McpConnectionAdmin(RecordAdmin):
    """What servers' sandboxes asked of the network."""

    view_action = "server.edit"
    fields = (
        *("server_name", "host", "port", "address", "allowed", "rule", "reason", "binary", "sha256", "method"),
        *("sent", "received", "duration_ms", "at"),
    )
    list_display = ("at", "server_name", "host", "port", "allowed", "rule", "binary")
    list_filter = ("allowed",)
    search_fields = ("host", "server_name")
    ordering = ("-id",)


@admin.register(McpAccount)
class McpAccountAdmin(RecordAdmin):
    """Accounts at servers elsewhere; never their tokens."""

    view_action = "user.manage"
    fields = (
        *("server", "person", "client", "resource", "scopes", "expires_at", "connected_by", "connected_at"),
        *("refreshed_at", "lost_at", "reason"),
    )
    list_display = ("server", "person", "client", "connected_at", "expires_at", "lost_at")
    list_select_related = ("server", "person", "client")
    search_fields = ("server__name", "person__username")
    ordering = ("-connected_at", "-pk")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return McpAccount.objects.all()


@admin.register(McpClient)
class McpClientAdmin(RecordAdmin):
    """What sign-ins of servers elsewhere know Logos as; never its secrets there."""

    view_action = "user.manage"
    fields = ("server", "issuer", "client_id", "origin", "auth_method", "redirect_uri", "created_at", "expires_at")
    list_display = ("issuer", "server", "origin", "created_at", "expires_at")
    list_select_related = ("server",)
    search_fields = ("issuer", "server__name")
    ordering = ("-created_at", "-pk")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return McpClient.objects.all()


@admin.register(McpLease)
class McpLeaseAdmin(RecordAdmin):
    """Which process runs the servers."""

    view_action = "user.manage"
    fields = ("name", "owner", "until")
    list_display = ("name", "owner", "until")
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return McpLease.objects.all()
