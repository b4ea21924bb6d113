"""The servers, categories and rules somebody sees as a file that ``mcp apply`` takes: applied at once, it changes nothing."""

from __future__ import annotations

from typing import Any

import yaml

from agents import permissions
from agents.models import User, Visibility
from mcp_gateway import categories, servers
from mcp_gateway.declared.form import FIELDS, LISTS, NESTED, POLICY, SERVERS, default_of
from mcp_gateway.declared.plan import outside_rules
from mcp_gateway.models import McpServer
from sandboxes.tool_server import outside
from sandboxes.tool_server.models import ToolRule
from sandboxes.tool_server.tiers import Tier

HEAD = "# MCP servers of Logos. Secrets are named, never written: set them with ./logos mcp secret, or NAME_file below secrets.\n"


def exported(user: User) -> str:
    """The file. Of secrets only names; what is as in a new server is left out."""
    seen = permissions.visible(user, servers.rows()).order_by("name")
    whole = {SERVERS: {row.name: _server(row) for row in seen}, POLICY: _policy(user)}
    said = {name: value for name, value in whole.items() if value}
    body = yaml.safe_dump(said, sort_keys=False, allow_unicode=True, width=110) if said else ""
    return HEAD + body


def _server(row: McpServer) -> dict[str, Any]:
    found = {key: getattr(row, name) for key, name in FIELDS.items() if getattr(row, name) != default_of(name)}
    # Of a model the id: another one may have its name.
    found |= {"sampling_route": row.sampling_route_id} if row.sampling_route_id else {}
    tools = {name: getattr(row, name) for name in NESTED if getattr(row, name)}
    found |= {"tools": tools} if tools else {}
    found |= {"visibility": str(row.visibility)} if row.visibility != Visibility.PRIVATE else {}
    names = [each.name for each in row.secrets.all()]
    return found | ({"secrets": names} if names else {})


def _policy(user: User) -> dict[str, Any]:
    rows = list(categories.rows())
    found: dict[str, Any] = {
        key: names for key, tier in LISTS.items() if (names := [row.name for row in rows if row.access == tier])
    }
    if calls := {row.name: str(row.calls) for row in rows if row.calls != Tier.ALLOW}:
        found["calls"] = calls
    tools: dict[str, list[Any]] = {}
    for row in outside_rules() if permissions.may(user, "tool.site") else ():
        tools.setdefault(_tool(row.tool), []).append(_rule(row))
    if tools:
        found["tools"] = {name: each[0] if len(each) == 1 else each for name, each in tools.items()}
    return found


def _tool(name: str) -> str:
    return "*" if name == outside.EVERY else name.removeprefix(outside.PREFIX)


def _rule(row: ToolRule) -> Any:
    named = {"argument": row.pattern, "per_minute": row.per_minute, "per_hour": row.per_hour, "note": row.note}
    more = {name: value for name, value in named.items() if value}
    return {"tier": str(row.tier), **more} if more else str(row.tier)
