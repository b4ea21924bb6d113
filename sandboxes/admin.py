"""Sandboxes and model calls in the console: what runs where, and what the router measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from agents.admin_base import RecordAdmin, VisibleRelatedFilter, link
from agents.errors import LogosError
from sandboxes import lifecycle
from sandboxes.models import InferenceCall, Sandbox


@admin.register(Sandbox)
class SandboxAdmin(RecordAdmin):
    """States are written by ``sandboxes.lifecycle`` alone; here they are read, and sandboxes started and stopped."""

    view_action = "sandbox.view"
    operate_action = "sandbox.operate"

    fields = (
        "agent",
        "driver",
        "state",
        "reason",
        "layers",
        "number",
        "starts",
        "started_at",
        "probed_at",
        "created_at",
    )
    list_display = ("agent", "state", "driver", "walls", "starts", "started_at", "reason")
    list_select_related = ("agent",)
    list_filter = ("state", "driver")
    search_fields = ("agent__name", "id", "agent__id")
    ordering = ("-created_at", "pk")
    actions = ("start", "stop")

    @admin.display(description="layers")
    def walls(self, sandbox: Sandbox) -> str:
        return ", ".join(sandbox.layers)

    @admin.action(description="Start", permissions=["operate"])
    def start(self, request: HttpRequest, queryset: QuerySet[Sandbox]) -> None:
        self._each(request, queryset, async_to_sync(lifecycle.ensure_running), "runs")

    @admin.action(description="Stop", permissions=["operate"])
    def stop(self, request: HttpRequest, queryset: QuerySet[Sandbox]) -> None:
        self._each(request, queryset, async_to_sync(lifecycle.stop), "is stopped")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return self._allows(request, self.operate_action)

    def _each(self, request: HttpRequest, chosen: QuerySet[Sandbox], act: Callable[[str], Any], done: str) -> None:
        for sandbox in chosen.select_related("agent"):
            name = sandbox.agent.name
            if not self._allows(request, self.operate_action, sandbox):
                self.message_user(request, f"You may not operate the sandbox of {name}.", messages.ERROR)
                continue
            try:
                act(sandbox.agent_id)
                self.message_user(request, f"The sandbox of {name} {done}.")
            except LogosError as error:
                self.message_user(request, f"{name}: {error.message} {error.action}".strip(), messages.ERROR)


@admin.register(InferenceCall)
class InferenceCallAdmin(RecordAdmin):
    """Every model call that passed the router."""

    view_action = "call.view"

    fields = (
        *("created_at", "model", "agent", "run_page", "route_id", "status", "error_code", "error_message"),
        *("streamed", "late", "ttft_ms", "duration_ms"),
        *("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost"),
    )
    list_display = (
        *("created_at", "model", "agent", "run_page", "status", "error_code"),
        *("ttft_ms", "duration_ms", "input_tokens", "output_tokens", "cost"),
    )
    list_select_related = ("sandbox__agent",)
    list_filter = ("status", "error_code", "late", ("sandbox__agent", VisibleRelatedFilter))
    search_fields = ("run_id", "model", "route_id")
    ordering = ("-created_at", "pk")
    date_hierarchy = "created_at"

    @admin.display(description="agent")
    def agent(self, call: InferenceCall) -> str:
        return call.sandbox.agent.name if call.sandbox else ""

    @admin.display(description="run")
    def run_page(self, call: InferenceCall) -> SafeString:
        return link("runs:run-detail", call.run_id, call.run_id)
