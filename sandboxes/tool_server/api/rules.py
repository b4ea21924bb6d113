"""/api/agents/{id}/tool-rules and /api/tool-rules: what agents may do with their tools, for one and for all."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from agents import permissions
from agents.api.asking import asker
from agents.api.shapes import PersonRef, Text
from agents.models import Agent, User
from sandboxes.tool_server import overview, rules
from sandboxes.tool_server.api.tools import ToolTier
from sandboxes.tool_server.models import ToolRule

router = Router(tags=["Tools of an agent"])
site_router = Router(tags=["Tools of an agent"])


class ToolRuleIn(Schema):
    """A rule to make; one of the same tool, condition and pattern is changed."""

    tool: Text = Field(
        description="A tool, a family as in git.*, mcp:SERVER.TOOL or mcp:SERVER.* of an MCP server, or * for every tool."
    )
    tier: ToolTier
    condition: Literal["", "path", "host", "command", "argument"] = ""
    pattern: Text = Field("", description="What the condition looks for.")
    per_minute: int | None = Field(None, ge=1, le=rules.MOST_RATE)
    per_hour: int | None = Field(None, ge=1, le=rules.MOST_RATE)
    note: Text = ""
    version: int | None = Field(
        None, ge=0, description="The `version` you read, 0 for a new rule; 409 `stale` if somebody saved first."
    )

    model_config = {
        "json_schema_extra": {
            "example": {"tool": "filesystem.*", "tier": "block", "condition": "path", "pattern": "secrets"}
        }
    }


class AgentToolRuleIn(ToolRuleIn):
    """The same for one agent. Only a rule of the site (for admins) can be looser than what holds for all."""

    layer: Literal["agent", "site"] = "agent"


class ToolRuleVersion(Schema):
    """Which one is meant."""

    version: int | None = Field(None, ge=1, description="The `version` you read; 409 `stale` if it is another by now.")


class ToolRuleOut(Schema):
    """A rule."""

    id: str
    layer: Literal["agent", "site"]
    tool: str
    condition: str
    pattern: str
    tier: ToolTier
    per_minute: int | None
    per_hour: int | None
    note: str
    made_by: PersonRef | None
    created_at: datetime
    version: int

    model_config = {
        "json_schema_extra": {
            "example": {
                "id": "toolrule_01jd9zb4p2r4t6v8x0z2b4d6f8",
                "layer": "agent",
                "tool": "filesystem.*",
                "condition": "path",
                "pattern": "**/secrets",
                "tier": "block",
                "per_minute": None,
                "per_hour": None,
                "note": "Nothing to do there.",
                "made_by": {"username": "alice", "name": "Alice Liddell"},
                "created_at": "2026-11-21T09:15:02.655Z",
                "version": 1,
            }
        }
    }


class ToolRuleList(Schema):
    """All rules of one agent, or of the site for every agent."""

    items: list[ToolRuleOut]


@router.get("/{agent_id}/tool-rules", response=ToolRuleList, operation_id="list_tool_rules", summary="Its rules")
def list_tool_rules(request: HttpRequest, agent_id: Text) -> dict[str, Any]:
    """The rules for this agent, those of the site for it too. What holds for every agent is `/api/tool-rules`."""
    return {"items": rules.rows_of(_agent(request, agent_id, "tool.view"))}


@router.post("/{agent_id}/tool-rules", response=ToolRuleOut, operation_id="put_tool_rule", summary="Make a rule")
def put_tool_rule(request: HttpRequest, agent_id: Text, data: AgentToolRuleIn) -> ToolRule:
    """For this agent. It only tightens what the site says, unless an admin makes it the site's (`layer`)."""
    return rules.put(asker(request), _agent(request, agent_id, "tool.rules"), **data.dict())


@router.delete(
    "/{agent_id}/tool-rules/{rule_id}", response={204: None}, operation_id="remove_tool_rule", summary="Remove a rule"
)
def remove_tool_rule(
    request: HttpRequest, agent_id: Text, rule_id: Text, query: Query[ToolRuleVersion]
) -> Status[None]:
    """It stops to hold at once."""
    user, agent = asker(request), _agent(request, agent_id, "tool.rules")
    rules.remove(user, overview.rule_for(user, agent, rule_id), query.version)
    return Status(204, None)


@site_router.get("/tool-rules", response=ToolRuleList, operation_id="list_site_tool_rules", summary="Rules for all")
def list_site_tool_rules(request: HttpRequest) -> dict[str, Any]:
    """The rules of the site for every agent; for admins."""
    return {"items": _for_all(asker(request))}


@site_router.post("/tool-rules", response=ToolRuleOut, operation_id="put_site_tool_rule", summary="Make a rule for all")
def put_site_tool_rule(request: HttpRequest, data: ToolRuleIn) -> ToolRule:
    """For every agent; no agent's own rule can be looser."""
    return rules.put(asker(request), None, layer="site", **data.dict())


@site_router.delete(
    "/tool-rules/{rule_id}", response={204: None}, operation_id="remove_site_tool_rule", summary="Remove a rule for all"
)
def remove_site_tool_rule(request: HttpRequest, rule_id: Text, query: Query[ToolRuleVersion]) -> Status[None]:
    """It stops to hold at once."""
    user = asker(request)
    rules.remove(user, overview.rule_for(user, None, rule_id), query.version)
    return Status(204, None)


def _agent(request: HttpRequest, agent_id: str, action: str) -> Agent:
    return permissions.fetch(asker(request), action, Agent.objects.alive(), pk=agent_id)


def _for_all(user: User) -> Any:
    permissions.require(user, "tool.site")
    return rules.for_all()
