"""Conversations, runs and events in the console: records that are read, stopped and exported."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from agents import acting, permissions
from agents.admin.agents import AgentAdmin
from agents.admin_acting import bulk, who
from agents.admin_base import RecordAdmin, link, pretty
from agents.admin_filters import TypedFilter, VisibleRelatedFilter
from agents.admin_panels import SHOWN, row_link, rows_link
from agents.admin_panels import Panel as PagePanel
from runs import dispatch, exporting, withheld
from runs.approvals import admin as approvals_admin  # noqa: F401 (registers)
from runs.budgets import admin as budgets_admin  # noqa: F401 (registers)
from runs.models import Approval, Conversation, EngineBeat, Message, Run, RunEvent
from runs.reviewing import admin as reviewing_admin  # noqa: F401 (registers)
from runs.templatetags.run_format import ago, duration, money, pill
from sandboxes.admin import CALLS_OF_RUN

EXPORTED = 5_000


def _last_runs(request: HttpRequest, **of: Any) -> list[tuple[Any, ...]]:
    seen = permissions.visible(request.user, Run.objects.filter(**of))
    return [
        (row_link(run), pill(run.status), run.actor, ago(run.created_at), duration(run.duration_ms), money_of(run))
        for run in seen.select_related("actor").defer("stamp").order_by("-created_at")[:SHOWN]
    ]


def money_of(run: Run) -> str:
    """What it cost, "at least" where something had no price."""
    return money(run.cost, run.cost_is_partial)


RUN_COLUMNS = ("Run", "State", "Person", "Began", "Took", "Cost")
RUNS_OF_AGENT = PagePanel(
    "Last runs", Run, "agent__id__exact", RUN_COLUMNS,
    lambda request, agent: _last_runs(request, agent=agent), "run.view",
)  # fmt: skip
RUNS_OF_CONVERSATION = PagePanel(
    "Runs", Run, "conversation__id__exact", RUN_COLUMNS,
    lambda request, conversation: _last_runs(request, conversation=conversation), "run.view",
)  # fmt: skip
CHATS_OF_AGENT = PagePanel(
    "Last conversations", Conversation, "agent__id__exact", ("Conversation", "Person", "Last"),
    lambda request, agent: [
        (row_link(chat), chat.owner, ago(chat.last_at))
        for chat in permissions.visible(request.user, agent.conversations.select_related("owner"))[:SHOWN]
    ],
    "conversation.view",
)  # fmt: skip
QUESTIONS_OF_RUN = PagePanel(
    "Approvals", Approval, "run__id__exact", ("What", "State", "Decided by", "Asked"),
    lambda request, run: [
        (row_link(asked, str(asked)), asked.get_state_display(), asked.decided_by, ago(asked.created_at))
        for asked in run.approvals.select_related("decided_by")[:SHOWN]
    ],
    "run.view",
)  # fmt: skip
EVENTS_OF_RUN = PagePanel(
    "Last events", RunEvent, "run__id__exact", ("Event", "Kind", "At"),
    lambda request, run: [
        (row_link(event, f"#{event.seq}"), event.kind, ago(event.at)) for event in run.events.order_by("-seq")[:SHOWN]
    ],
    "run.view",
)  # fmt: skip

AgentAdmin.also(panels=(RUNS_OF_AGENT, CHATS_OF_AGENT))


@admin.register(Conversation)
class ConversationAdmin(RecordAdmin):
    """Talks of people with agents."""

    view_action = "conversation.view"
    page_name = "runs:chat-conversation"
    panels = (RUNS_OF_CONVERSATION,)
    fields = ("title", "agent", "owner", "origin", "is_unread", "created_at", "last_at")
    list_display = ("__str__", "agent", "owner", "origin", "last", "chat")
    list_select_related = ("agent", "owner")
    list_filter = (
        "origin", ("agent", VisibleRelatedFilter), ("owner", VisibleRelatedFilter), ("last_at", admin.DateFieldListFilter)
    )  # fmt: skip
    search_fields = ("title", "=id")
    search_help_text = "The title or the id"
    ordering = ("-last_at", "pk")

    @admin.display(description="last", ordering="last_at")
    def last(self, conversation: Conversation) -> SafeString | str:
        return ago(conversation.last_at)

    @admin.display(description="")
    def chat(self, conversation: Conversation) -> SafeString:
        return link("runs:chat-conversation", "Chat", conversation.pk)


@admin.register(Message)
class MessageAdmin(RecordAdmin):
    """What was said."""

    view_action = "conversation.view"
    fields = ("conversation", "speaker", "text", "created_at")
    list_display = ("__str__", "speaker", "conversation", "said")
    list_select_related = ("conversation",)
    list_filter = ("speaker",)
    link_lookups = ("conversation__id__exact",)
    search_fields = ("text", "=conversation__id")
    search_help_text = "Words of the text, or the id of a conversation"
    ordering = ("-pk",)

    @admin.display(description="said", ordering="created_at")
    def said(self, message: Message) -> SafeString | str:
        return ago(message.created_at)


@admin.register(Run)
class RunAdmin(RecordAdmin):
    """Every message carried out."""

    view_action = "run.view"
    page_name = "runs:run-detail"
    panels = (QUESTIONS_OF_RUN, CALLS_OF_RUN, EVENTS_OF_RUN)
    fields = (
        *("status", "agent", "actor", "conversation", "message", "reply"),
        *("error_code", "error_message", "error_action"),
        *("model_calls", "tool_calls", "input_tokens", "output_tokens", "price", "took"),
        *("fingerprint", "stamp_shown"),
        *("lease_owner", "lease_until", "attempt", "cancel_requested_at", "cancelled_by"),
        *("created_at", "started_at", "finished_at"),
    )
    list_display = ("id", "state", "agent", "actor", "began", "took", "price", "error_code", "page")
    list_select_related = ("agent", "actor")
    list_filter = (
        "status", ("created_at", admin.DateFieldListFilter), ("agent", VisibleRelatedFilter),
        ("actor", VisibleRelatedFilter), ("error_code", TypedFilter),
    )  # fmt: skip
    link_lookups = ("conversation__id__exact", "cost_is_partial__exact", "cost__isnull", "cancelled_by__id__exact")
    search_fields = ("=id", "=fingerprint", "=agent__name", "=actor__username", "=error_code")
    search_help_text = "An id, a fingerprint, an agent, a person or a code of an error"
    ordering = ("-created_at", "pk")
    actions = ("cancel", "export_json", "export_csv")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows = super().get_queryset(request)
        match = request.resolver_match
        is_list = match is not None and match.url_name == "runs_run_changelist"
        return (
            rows.defer("stamp") if is_list else rows.select_related("conversation", "message", "reply", "cancelled_by")
        )

    @bulk(
        "Stop", needs="run.cancel", done="Asked to stop", confirm="What they are doing in their sandboxes ends too.",
        related=("agent", "conversation"),
    )  # fmt: skip
    def cancel(self, request: HttpRequest, run: Run) -> None:
        dispatch.cancel(who(request), run)

    @admin.action(description="Export as JSON")
    def export_json(self, request: HttpRequest, queryset: QuerySet[Run]) -> HttpResponse:
        return self._file(exporting.as_json(self._chosen(request, queryset)), "application/json", "runs.json")

    @admin.action(description="Export as CSV")
    def export_csv(self, request: HttpRequest, queryset: QuerySet[Run]) -> HttpResponse:
        return self._file(exporting.as_csv(self._chosen(request, queryset)), "text/csv; charset=utf-8", "runs.csv")

    def _chosen(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        return queryset.select_related("agent", "actor").defer("stamp")[:EXPORTED]

    def _file(self, text: str, kind: str, name: str) -> HttpResponse:
        return HttpResponse(text, content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})

    @admin.display(description="state", ordering="status")
    def state(self, run: Run) -> SafeString:
        return pill(run.status)

    @admin.display(description="began", ordering="created_at")
    def began(self, run: Run) -> SafeString | str:
        return ago(run.created_at)

    @admin.display(description="")
    def page(self, run: Run) -> SafeString:
        return link("runs:run-detail", "Open", run.pk)

    @admin.display(description="took")
    def took(self, run: Run) -> str:
        return duration(run.duration_ms)

    @admin.display(description="cost", ordering="cost")
    def price(self, run: Run) -> str:
        return money_of(run)

    @admin.display(description="stamp")
    def stamp_shown(self, run: Run) -> SafeString:
        return pretty(withheld.told(acting.actor(), run.stamp))


@admin.register(RunEvent)
class RunEventAdmin(RecordAdmin):
    """The chained events of every run."""

    view_action = "run.view"
    fields = ("run", "seq", "kind", "at", "data_shown", "previous", "digest")
    list_display = ("event", "kind", "when", "of_run", "page")
    list_filter = (("kind", TypedFilter),)
    link_lookups = ("run__id__exact",)
    search_fields = ("=run__id",)
    search_help_text = "The id of a run"
    ordering = ("-pk",)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows: QuerySet = admin.ModelAdmin.get_queryset(self, request).defer("data")
        if permissions.role_of(request.user) == "admin":
            return rows
        return rows.filter(run__in=permissions.visible(request.user, Run.objects.order_by()).values("pk"))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._allows(request, self.view_action, obj.run if obj else None)

    def view_on_site(self, obj: Any) -> str | None:
        return None

    @admin.display(description="event", ordering="pk")
    def event(self, event: RunEvent) -> str:
        return f"#{event.seq}"

    @admin.display(description="run")
    def of_run(self, event: RunEvent) -> SafeString:
        return rows_link(RunEvent, event.run_id, run__id__exact=event.run_id)

    @admin.display(description="at", ordering="at")
    def when(self, event: RunEvent) -> SafeString | str:
        return ago(event.at)

    @admin.display(description="data")
    def data_shown(self, event: RunEvent) -> SafeString:
        sight = withheld.sight(acting.actor(), event.run)
        return pretty(sight.told(event.kind, event.data))

    @admin.display(description="")
    def page(self, event: RunEvent) -> SafeString:
        return link("runs:run-detail", "Open", event.run_id)


@admin.register(EngineBeat)
class EngineBeatAdmin(RecordAdmin):
    """Which engines live."""

    view_action = "user.manage"
    list_display = ("owner", "seen")
    ordering = ("owner",)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows: QuerySet = admin.ModelAdmin.get_queryset(self, request)
        return rows if permissions.may(request.user, self.view_action) else rows.none()

    @admin.display(description="seen", ordering="seen_at")
    def seen(self, beat: EngineBeat) -> SafeString | str:
        return ago(beat.seen_at)
