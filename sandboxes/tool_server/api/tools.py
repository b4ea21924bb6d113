"""/api/agents/{id}/tools: the tools of an agent, what would become of a call, and calls themselves."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from asgiref.sync import async_to_sync
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import permissions
from agents.api.asking import asker
from agents.api.shapes import NEXT, PageQuery, PersonRef, Text, page
from agents.models import Agent
from sandboxes.tool_server import calls, overview
from sandboxes.tool_server.models import ToolCall
from sandboxes.tool_server.records import Caller

router = Router(tags=["Tools of an agent"])

ToolTier = Literal["allow", "notify", "ask", "block"]
ToolCallState = Literal["waiting", "running", "done", "failed", "refused", "denied", "expired", "unknown"]


class ToolOut(Schema):
    """One tool, as it stands for the agent."""

    name: str
    title: str
    description: str
    input_schema: dict[str, Any] = Field(description="JSON Schema of its arguments.")
    tier: ToolTier
    reason: str
    per_minute: int = Field(description="Calls a minute; more are asked for, four times as many refused.")
    per_hour: int
    exceptions: int = Field(description="Rules about it that look at paths, hosts or commands.")

    model_config = {
        "json_schema_extra": {
            "example": {
                "name": "filesystem.read",
                "title": "Read a file",
                "description": "The content of a file in the workspace, as text or base64, up to 256 KB.",
                "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
                "tier": "allow",
                "reason": "Without a rule, filesystem.read runs.",
                "per_minute": 120,
                "per_hour": 3000,
                "exceptions": 0,
            }
        }
    }


class ToolList(Schema):
    """Every tool."""

    items: list[ToolOut]


class ToolCallIn(Schema):
    """What to call it with."""

    arguments: dict[str, Any] = Field(default_factory=dict)
    wait_s: int = Field(0, ge=0, le=int(calls.HOLD_MOST_S), description="How long to wait for a person's word.")
    purpose: Text = Field("", description="What it is for; shown to who decides.", max_length=500)

    model_config = {"json_schema_extra": {"example": {"arguments": {"path": "notes/today.md"}, "wait_s": 45}}}


class ToolAnswerOut(Schema):
    """What came of a call. While it waits nothing has been done: make the same call again."""

    call: str
    state: ToolCallState
    tier: ToolTier
    approval: str
    is_error: bool
    content: list[dict[str, Any]] = Field(description="For a model, as in the Model Context Protocol.")
    data: dict[str, Any]

    model_config = {
        "json_schema_extra": {
            "example": {
                "call": "tool_01jd9zb4p2r4t6v8x0z2b4d6f8",
                "state": "done",
                "tier": "allow",
                "approval": "",
                "is_error": False,
                "content": [{"type": "text", "text": "Buy milk.\n"}],
                "data": {"path": "notes/today.md", "size": 10, "text": "Buy milk.\n", "is_cut": False},
            }
        }
    }


class ToolVerdictOut(Schema):
    """What would become of a call, and what each layer of rules says."""

    tool: str
    tier: ToolTier
    reason: str
    steps: list[str]

    model_config = {
        "json_schema_extra": {
            "example": {
                "tool": "process.run",
                "tier": "ask",
                "reason": "Without a rule, process.run waits for a person.",
                "steps": ["site: Without a rule, process.run waits for a person."],
            }
        }
    }


class ToolCallOut(Schema):
    """A call as it was recorded; secrets are masked and long arguments cut."""

    id: str
    at: datetime
    tool: str
    run_id: str
    caller: PersonRef | None
    door: str
    arguments: dict[str, Any]
    digest: str = Field(description="SHA-256 of the arguments as they were.")
    tier: ToolTier
    reason: str
    state: ToolCallState
    approval_id: str
    is_error: bool
    error: str
    result_bytes: int | None
    duration_ms: float | None

    model_config = {
        "json_schema_extra": {
            "example": {
                "id": "tool_01jd9zb4p2r4t6v8x0z2b4d6f8",
                "at": "2026-11-21T09:15:02.655Z",
                "tool": "filesystem.read",
                "run_id": "",
                "caller": {"username": "alice", "name": "Alice Liddell"},
                "door": "api",
                "arguments": {"path": "notes/today.md"},
                "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                "tier": "allow",
                "reason": "Without a rule, filesystem.read runs.",
                "state": "done",
                "approval_id": "",
                "is_error": False,
                "error": "",
                "result_bytes": 10,
                "duration_ms": 61.5,
            }
        }
    }


class ToolCallPage(Schema):
    """A page of calls, the newest first."""

    items: list[ToolCallOut]
    next: str | None = NEXT


@router.get("/{agent_id}/tools", response=ToolList, operation_id="list_tools", summary="Its tools")
def list_tools(request: HttpRequest, agent_id: Text) -> dict[str, Any]:
    """Every tool with its arguments, and what becomes of a call of it now."""
    agent = _agent(request, agent_id, "tool.view")
    return {
        "items": [
            {
                "name": each.tool.name,
                "title": each.tool.title,
                "description": each.tool.description,
                "input_schema": each.tool.schema,
                "tier": each.tier,
                "reason": each.reason,
                "per_minute": each.rates.minute,
                "per_hour": each.rates.hour,
                "exceptions": each.exceptions,
            }
            for each in overview.standings(agent)
        ]
    }


@router.post("/{agent_id}/tools/{name}/call", response=ToolAnswerOut, operation_id="call_tool", summary="Call a tool")
def call_tool(request: HttpRequest, agent_id: Text, name: Text, data: ToolCallIn) -> dict[str, Any]:
    """In the agent's sandbox, under its rules. What goes wrong is an answer with `is_error`, as for a model."""
    user, agent = asker(request), _agent(request, agent_id, "tool.call")
    caller = Caller("api", person_id=user.pk, purpose=data.purpose)
    answer = async_to_sync(calls.call)(agent.pk, name, data.arguments, caller, hold_s=data.wait_s)
    return {
        "call": answer.call_id,
        "state": answer.state,
        "tier": answer.tier,
        "approval": answer.approval_id,
        "is_error": answer.outcome.is_error,
        "content": answer.outcome.content,
        "data": answer.outcome.data,
    }


@router.post(
    "/{agent_id}/tools/{name}/explain", response=ToolVerdictOut, operation_id="explain_tool", summary="Try a call"
)
def explain_tool(request: HttpRequest, agent_id: Text, name: Text, data: ToolCallIn) -> dict[str, Any]:
    """What would become of the call and which rule says so. Nothing is done or counted."""
    tool, verdict, _ = calls.explained(_agent(request, agent_id, "tool.view").pk, name, data.arguments)
    steps = [f"{step.layer}: {step.sentence}" for step in verdict.steps]
    return {"tool": tool.name, "tier": verdict.tier, "reason": verdict.reason, "steps": steps}


@router.get("/{agent_id}/tool-calls", response=ToolCallPage, operation_id="list_tool_calls", summary="Its calls")
def list_tool_calls(request: HttpRequest, agent_id: Text, query: Query[PageQuery]) -> dict[str, Any]:
    """Every call of a tool of this agent, by whoever made it."""
    return page(overview.calls_of(asker(request), _agent(request, agent_id, "tool.view")), query)


@router.get("/{agent_id}/tool-calls/{call_id}", response=ToolCallOut, operation_id="get_tool_call", summary="One call")
def get_tool_call(request: HttpRequest, agent_id: Text, call_id: Text) -> ToolCall:
    """What is recorded of it."""
    agent = _agent(request, agent_id, "tool.view")
    return permissions.fetch(asker(request), "tool.view", ToolCall.objects.filter(agent=agent), pk=call_id)


def _agent(request: HttpRequest, agent_id: str, action: str) -> Agent:
    return permissions.fetch(asker(request), action, Agent.objects.alive(), pk=agent_id)
