"""Sandboxes and model calls in the console: what runs where, and what the router measured."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from agents import permissions, sandbox_limits
from agents.admin.agents import AgentAdmin
from agents.admin_acting import Action, bulk
from agents.admin_base import RecordAdmin, link
from agents.admin_filters import TypedFilter, VisibleRelatedFilter
from agents.admin_panels import SHOWN, Panel, row_link
from agents.admin_words import ago, seconds, state
from agents.errors import Conflict
from agents.views.access import person
from sandboxes import operating
from sandboxes.models import EgressDecision, HealthSample, InferenceCall, Sandbox, State
from sandboxes.tool_server import admin as tool_server_admin  # noqa: F401 (registers itself)

_KINDS = {State.RUNNING: "ok", State.STARTING: "running", State.FAILED: "failed", State.STOPPED: "unknown"}


def state_of(sandbox: Sandbox) -> SafeString:
    """The state as a label."""
    return state(sandbox.get_state_display().lower(), _KINDS[State(sandbox.state)])


def _calls(request: HttpRequest, rows: QuerySet[InferenceCall]) -> list[tuple[Any, ...]]:
    seen = permissions.visible(request.user, rows).order_by("-created_at")[:SHOWN]
    return [
        (row_link(call, call.model), call.status, call.error_code, seconds(call.duration_ms), call.input_tokens,
         call.output_tokens, ago(call.created_at))
        for call in seen
    ]  # fmt: skip


CALL_COLUMNS = ("Model", "Status", "Error", "Took", "In", "Out", "When")
CALLS_OF_RUN = Panel(
    "Last model calls", InferenceCall, "run_id__exact", CALL_COLUMNS,
    lambda request, run: _calls(request, InferenceCall.objects.filter(run_id=run.pk)), "call.view",
)  # fmt: skip
CALLS_OF_SANDBOX = Panel(
    "Last model calls", InferenceCall, "sandbox__id__exact", CALL_COLUMNS,
    lambda request, sandbox: _calls(request, InferenceCall.objects.filter(sandbox=sandbox)), "call.view",
)  # fmt: skip
SANDBOX_OF_AGENT = Panel(
    "Sandbox", Sandbox, "agent__id__exact", ("Sandbox", "State", "Driver", "Started", "Why"),
    lambda request, agent: [
        (row_link(box, box.pk), state_of(box), box.driver, ago(box.started_at), box.reason)
        for box in permissions.visible(request.user, Sandbox.objects.filter(agent=agent))
    ],
    "sandbox.view",
)  # fmt: skip


def stop_sandboxes() -> Action:
    """Stop the sandboxes of chosen agents, in the background."""

    @bulk(
        "Stop the sandbox", needs="agent.manage", done="Stopping in the background",
        confirm="What runs in them ends. Their files stay, and the next message starts them again.",
    )  # fmt: skip
    def stop_sandbox(self: Any, request: HttpRequest, agent: Any) -> None:
        if not Sandbox.objects.filter(agent=agent).exclude(state=State.STOPPED).exists():
            raise Conflict("No sandbox of it runs.", reason="not_running")
        operating.stop(person(request), agent, wait=False)

    return stop_sandbox


AgentAdmin.also(panels=(SANDBOX_OF_AGENT,), actions=(stop_sandboxes(),))


@admin.register(Sandbox)
class SandboxAdmin(RecordAdmin):
    """States are written by ``sandboxes.lifecycle`` alone; here they are read, and sandboxes started and stopped."""

    view_action = "sandbox.view"
    panels = (CALLS_OF_SANDBOX,)

    fields = (
        *("agent", "driver", "state", "desired", "keep_running", "reason", "layers", "limited", "versions", "number"),
        *("starts", "crashes", "attempts", "silences", "started_at", "used_at", "probed_at", "created_at"),
    )
    list_display = (
        "agent",
        "state_shown",
        "desired",
        "keep_running",
        "walls",
        "starts",
        "crashes",
        "began",
        "seen",
        "reason",
    )
    list_select_related = ("agent",)
    list_filter = ("state", "desired", "keep_running", "driver", ("agent", VisibleRelatedFilter))
    search_fields = ("agent__name", "=id", "=agent__id")
    search_help_text = "The agent's name or id, or the sandbox's id"
    ordering = ("-created_at", "pk")
    actions = ("start", "stop", "restart")

    @admin.display(description="state", ordering="state")
    def state_shown(self, sandbox: Sandbox) -> SafeString:
        return state_of(sandbox)

    @admin.display(description="layers")
    def walls(self, sandbox: Sandbox) -> str:
        return ", ".join(sandbox.layers)

    @admin.display(description="limits")
    def limited(self, sandbox: Sandbox) -> str:
        told = sandbox_limits.told(sandbox.agent)
        return ", ".join(f"{each['label'].lower()} {each['value']} {each['unit']}".strip() for each in told)

    @admin.display(description="started", ordering="started_at")
    def began(self, sandbox: Sandbox) -> SafeString | str:
        return ago(sandbox.started_at)

    @admin.display(description="seen", ordering="probed_at")
    def seen(self, sandbox: Sandbox) -> SafeString | str:
        return ago(sandbox.probed_at)

    @bulk("Start", needs="sandbox.operate", done="Starting in the background", related=("agent",))
    def start(self, request: HttpRequest, sandbox: Sandbox) -> None:
        operating.start(person(request), sandbox.agent)

    @bulk(
        "Stop", needs="sandbox.operate", done="Stopping in the background", related=("agent",),
        confirm="What runs in them ends. Their files stay, and the next message starts them again.",
    )  # fmt: skip
    def stop(self, request: HttpRequest, sandbox: Sandbox) -> None:
        operating.stop(person(request), sandbox.agent, wait=False)

    @bulk(
        "Restart", needs="sandbox.operate", done="Starting anew in the background", related=("agent",),
        confirm="What runs in them ends. Their files stay.",
    )  # fmt: skip
    def restart(self, request: HttpRequest, sandbox: Sandbox) -> None:
        operating.restart(person(request), sandbox.agent, wait=False)


@admin.register(HealthSample)
class HealthSampleAdmin(RecordAdmin):
    """What sandboxes used and how fast they answered, one look a minute for a day."""

    view_action = "sandbox.view"

    fields = ("at", "sandbox", "start", "cpu_s", "memory_mb", "processes", "disk_mb", "latency_ms")
    list_display = ("sandbox", "when", "memory", "processes", "took", "disk_mb")
    list_select_related = ("sandbox__agent",)
    list_filter = (("at", admin.DateFieldListFilter), ("sandbox__agent", VisibleRelatedFilter))
    link_lookups = ("sandbox__id__exact",)
    search_fields = ("=sandbox__id",)
    search_help_text = "The id of a sandbox"
    ordering = ("-at", "pk")

    @admin.display(description="when", ordering="at")
    def when(self, sample: HealthSample) -> SafeString | str:
        return ago(sample.at)

    @admin.display(description="memory", ordering="memory_mb")
    def memory(self, sample: HealthSample) -> str:
        return f"{sample.memory_mb:,.0f} MiB"

    @admin.display(description="answered in", ordering="latency_ms")
    def took(self, sample: HealthSample) -> str:
        return "not at all" if sample.latency_ms is None else f"{sample.latency_ms:.1f} ms"


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
        *("model", "when", "agent", "run_page", "status", "error_code"),
        *("first_byte", "took", "input_tokens", "output_tokens", "cost"),
    )
    list_select_related = ("sandbox__agent",)
    list_filter = (
        ("created_at", admin.DateFieldListFilter), ("sandbox__agent", VisibleRelatedFilter), ("status", TypedFilter),
        ("error_code", TypedFilter), "late",
    )  # fmt: skip
    link_lookups = ("run_id__exact", "sandbox__id__exact", "route_id__exact", "status__gte")
    search_fields = ("=run_id", "=model", "=route_id")
    search_help_text = "The id of a run or a route, or a model"
    ordering = ("-created_at", "pk")

    @admin.display(description="agent")
    def agent(self, call: InferenceCall) -> str:
        return call.sandbox.agent.name if call.sandbox else ""

    @admin.display(description="when", ordering="created_at")
    def when(self, call: InferenceCall) -> SafeString | str:
        return ago(call.created_at)

    @admin.display(description="first byte", ordering="ttft_ms")
    def first_byte(self, call: InferenceCall) -> str:
        return seconds(call.ttft_ms)

    @admin.display(description="took", ordering="duration_ms")
    def took(self, call: InferenceCall) -> str:
        return seconds(call.duration_ms)

    @admin.display(description="run")
    def run_page(self, call: InferenceCall) -> SafeString | str:
        return link("runs:run-detail", call.run_id, call.run_id) if call.run_id else "no run"


@admin.register(EgressDecision)
class EgressDecisionAdmin(RecordAdmin):
    """Every connection a sandbox asked for, and what became of it."""

    view_action = "egress.view"

    fields = (
        *("at", "agent", "run_page", "method", "host", "port", "binary", "sha256", "allowed", "rule", "reason"),
        *("address", "sent", "received", "duration_ms"),
    )
    list_display = ("host", "port", "decision", "when", "agent", "run_page", "binary", "rule", "sent", "received")
    list_select_related = ("agent",)
    list_filter = (("at", admin.DateFieldListFilter), ("agent", VisibleRelatedFilter), "allowed")
    link_lookups = ("run_id__exact", "agent__id__exact", "host__exact")
    search_fields = ("=run_id", "=host", "=rule")
    search_help_text = "The id of a run, a host, or a rule"
    ordering = ("-id",)

    @admin.display(description="decision", ordering="allowed")
    def decision(self, row: EgressDecision) -> SafeString:
        return state("let through", "ok") if row.allowed else state("refused", "blocked")

    @admin.display(description="when", ordering="at")
    def when(self, row: EgressDecision) -> SafeString | str:
        return ago(row.at)

    @admin.display(description="run")
    def run_page(self, row: EgressDecision) -> SafeString | str:
        return link("runs:run-detail", row.run_id, row.run_id) if row.run_id else ""
