"""Conversations, runs, events and approvals in the console: all of it a record, none of it changed here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from agents import permissions
from agents.admin_base import RecordAdmin, VisibleRelatedFilter, link, pretty
from runs.models import Approval, Conversation, EngineBeat, Message, Run, RunEvent
from runs.templatetags.run_format import duration, money


@admin.register(Conversation)
class ConversationAdmin(RecordAdmin):
    """Talks of people with agents."""

    view_action = "conversation.view"
    fields = ("title", "agent", "owner", "origin", "chat", "created_at", "last_at")
    list_display = ("__str__", "agent", "owner", "origin", "last_at", "chat")
    list_select_related = ("agent", "owner")
    list_filter = ("origin", ("agent", VisibleRelatedFilter))
    search_fields = ("title", "id", "agent__name", "owner__username")
    ordering = ("-last_at", "pk")

    @admin.display(description="")
    def chat(self, conversation: Conversation) -> SafeString:
        return link("runs:chat-conversation", "Chat", conversation.pk)


@admin.register(Message)
class MessageAdmin(RecordAdmin):
    """What was said."""

    view_action = "conversation.view"
    fields = ("conversation", "speaker", "text", "created_at")
    list_display = ("__str__", "speaker", "conversation", "created_at")
    list_select_related = ("conversation",)
    list_filter = ("speaker",)
    search_fields = ("text", "conversation__id")
    ordering = ("-pk",)


@admin.register(Run)
class RunAdmin(RecordAdmin):
    """Every message carried out."""

    view_action = "run.view"
    fields = (
        *("page", "status", "agent", "actor", "conversation", "message", "reply"),
        *("error_code", "error_message", "error_action"),
        *("model_calls", "tool_calls", "input_tokens", "output_tokens", "price", "took"),
        *("fingerprint", "stamp_shown"),
        *("lease_owner", "lease_until", "attempt", "cancel_requested_at", "cancelled_by"),
        *("created_at", "started_at", "finished_at"),
    )
    list_display = ("id", "status", "agent", "actor", "created_at", "took", "price", "error_code", "page")
    list_select_related = ("agent", "actor", "cancelled_by", "conversation", "message", "reply")
    list_filter = ("status", "error_code", ("agent", VisibleRelatedFilter))
    search_fields = ("id", "fingerprint", "agent__name", "actor__username")
    ordering = ("-created_at", "pk")
    date_hierarchy = "created_at"

    @admin.display(description="")
    def page(self, run: Run) -> SafeString:
        return link("runs:run-detail", "Open", run.pk)

    @admin.display(description="took")
    def took(self, run: Run) -> str:
        return duration(run.duration_ms)

    @admin.display(description="cost", ordering="cost")
    def price(self, run: Run) -> str:
        return money(run.cost, run.cost_is_partial)

    @admin.display(description="stamp")
    def stamp_shown(self, run: Run) -> SafeString:
        return pretty(run.stamp)


@admin.register(RunEvent)
class RunEventAdmin(RecordAdmin):
    """The chained events of every run."""

    view_action = "run.view"
    fields = ("run", "seq", "kind", "at", "data_shown", "previous", "digest")
    list_display = ("run_id", "seq", "kind", "at", "page")
    list_filter = ("kind",)
    search_fields = ("=run__id", "kind")
    ordering = ("-pk",)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows: QuerySet = admin.ModelAdmin.get_queryset(self, request)
        if permissions.role_of(request.user) == "admin":
            return rows
        return rows.filter(run__in=permissions.visible(request.user, Run.objects.order_by()).values("pk"))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._allows(request, self.view_action, obj.run if obj else None)

    @admin.display(description="data")
    def data_shown(self, event: RunEvent) -> SafeString:
        return pretty(event.data)

    @admin.display(description="")
    def page(self, event: RunEvent) -> SafeString:
        return link("runs:run-detail", "Open", event.run_id)


@admin.register(Approval)
class ApprovalAdmin(RecordAdmin):
    """What runs asked people for, and who decided."""

    view_action = "run.view"
    fields = (
        *("run", "command", "description", "subject_hash", "state", "expires_at"),
        *("decided_by", "decided_at", "answered_at", "created_at"),
    )
    list_display = ("command", "state", "run", "decided_by", "created_at", "expires_at")
    list_select_related = ("run", "decided_by")
    list_filter = ("state",)
    search_fields = ("command", "run__id")
    ordering = ("-created_at", "pk")


@admin.register(EngineBeat)
class EngineBeatAdmin(RecordAdmin):
    """Which engines live."""

    view_action = "user.manage"
    list_display = ("owner", "seen_at")
    ordering = ("owner",)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows: QuerySet = admin.ModelAdmin.get_queryset(self, request)
        return rows if permissions.may(request.user, self.view_action) else rows.none()
