"""Rules and calls of tools in the console: what holds where, and everything that was called."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from agents.admin.agents import AgentAdmin
from agents.admin_acting import bulk, who
from agents.admin_base import RecordAdmin, link, pretty
from agents.admin_filters import TypedFilter, VisibleRelatedFilter
from agents.admin_panels import Panel, row_link
from agents.admin_words import ago, seconds, state
from agents.permissions import visible
from sandboxes.tool_server import rules
from sandboxes.tool_server.models import CallState, ToolCall, ToolRule

_KINDS = {
    CallState.WAITING: "waiting",
    CallState.RUNNING: "running",
    CallState.DONE: "ok",
    CallState.FAILED: "failed",
    CallState.REFUSED: "blocked",
    CallState.DENIED: "blocked",
    CallState.EXPIRED: "stopped",
    CallState.UNKNOWN: "unknown",
}

MOST = 5


def state_of(call: ToolCall) -> SafeString:
    """The state as a label."""
    return state(call.get_state_display().lower(), _KINDS[CallState(call.state)])


CALLS_OF_AGENT = Panel(
    "Last calls of tools", ToolCall, "agent__id__exact", ("Tool", "State", "Tier", "Took", "When"),
    lambda request, agent: [
        (row_link(call, call.tool), state_of(call), call.get_tier_display(), seconds(call.duration_ms), ago(call.at))
        for call in visible(request.user, ToolCall.objects.filter(agent=agent)).order_by("-id")[:MOST]
    ],
    "tool.view",
)  # fmt: skip
AgentAdmin.also(panels=(CALLS_OF_AGENT,))


@admin.register(ToolRule)
class ToolRuleAdmin(RecordAdmin):
    """Rules are made where they are explained, on the pages; here they are found, and removed."""

    view_action = "tool.view"

    fields = (
        *("layer", "agent", "tool", "condition", "pattern", "tier", "per_minute", "per_hour", "note", "made_by"),
        *("created_at", "version"),
    )
    list_display = ("tool", "tier", "condition", "pattern", "layer", "agent", "per_minute", "per_hour", "note", "made")
    list_select_related = ("agent", "made_by")
    list_filter = ("layer", "tier", "condition", ("agent", VisibleRelatedFilter))
    search_fields = ("tool", "pattern", "=agent__id")
    search_help_text = "A tool, a pattern, or the id of an agent"
    ordering = ("layer", "tool", "condition", "pattern", "pk")
    actions = ("remove",)

    @admin.display(description="made", ordering="created_at")
    def made(self, rule: ToolRule) -> SafeString | str:
        return ago(rule.created_at)

    @bulk("Remove", needs="tool.rules", done="Removed", related=("agent",), confirm="The rules stop to hold at once.")
    def remove(self, request: HttpRequest, rule: ToolRule) -> None:
        rules.remove(who(request), rule)


@admin.register(ToolCall)
class ToolCallAdmin(RecordAdmin):
    """Every call of a tool, with what became of it."""

    view_action = "tool.view"

    fields = (
        *("at", "agent", "run_page", "caller", "door", "tool", "arguments_shown", "digest", "tier", "reason", "rule"),
        *("state", "approval_id", "is_error", "error", "result_bytes", "duration_ms", "ended_at"),
    )
    list_display = ("tool", "state_shown", "tier", "when", "agent", "run_page", "caller", "door", "took", "error")
    list_select_related = ("agent", "caller")
    list_filter = (
        ("at", admin.DateFieldListFilter), ("agent", VisibleRelatedFilter), "state", "tier", ("tool", TypedFilter),
    )  # fmt: skip
    link_lookups = ("run_id__exact", "agent__id__exact", "tool__exact")
    search_fields = ("=run_id", "=tool", "=id", "=approval_id")
    search_help_text = "The id of a call, a run or an approval, or a tool"
    ordering = ("-id",)

    @admin.display(description="state", ordering="state")
    def state_shown(self, call: ToolCall) -> SafeString:
        return state_of(call)

    @admin.display(description="when", ordering="at")
    def when(self, call: ToolCall) -> SafeString | str:
        return ago(call.at)

    @admin.display(description="took", ordering="duration_ms")
    def took(self, call: ToolCall) -> str:
        return seconds(call.duration_ms)

    @admin.display(description="arguments")
    def arguments_shown(self, call: ToolCall) -> SafeString:
        return pretty(call.arguments)

    @admin.display(description="run")
    def run_page(self, call: ToolCall) -> SafeString | str:
        return link("runs:run-detail", call.run_id, call.run_id) if call.run_id else ""
