"""What the pages about MCP servers share: the tabs around the list and around one server, and who may do what there."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from agents import permissions
from agents.actions import ACTIONS
from agents.agent_pages import Tab
from agents.models import User
from agents.past.kinds import may_read
from agents.standing import reasons
from mcp_gateway.models import McpServer, ServerState

LOOKS = {
    ServerState.READY: "ok",
    ServerState.STARTING: "running",
    ServerState.BACKOFF: "waiting",
    ServerState.NEEDS_AUTH: "waiting",
    ServerState.CHANGED: "waiting",
    ServerState.PARKED: "failed",
    ServerState.STOPPED: "stopped",
    ServerState.DISABLED: "stopped",
}

# The pages of one server, by its id.
TABS = [
    Tab("overview", "Overview", "mcp:server-detail", "server.view"),
    Tab("access", "Access", "mcp:server-access", "server.view"),
    Tab("calls", "Calls", "mcp:server-calls", "server.view"),
    Tab("connections", "Connections", "mcp:server-connections", "server.edit"),
    Tab("models", "Models", "mcp:server-models", "server.edit"),
    Tab("settings", "Settings", "mcp:server-edit", "server.edit"),
    Tab("secrets", "Secrets", "mcp:server-secrets", "server.edit"),
]

# The pages about all of them.
PLACES = [
    Tab("servers", "Servers", "mcp:server-list", "server.view"),
    Tab("catalogue", "Catalogue", "mcp:catalogue", "server.create"),
    Tab("access", "Access of agents", "mcp:access", "access.view"),
    Tab("categories", "Categories", "mcp:categories", "server.view"),
]


def frame(user: User, server: McpServer, tab: str) -> dict[str, Any]:
    """What every tab of a server shows around its own part."""
    standing = permissions.standing_of(user, server)

    def may(action: str) -> bool:
        return bool(reasons(ACTIONS[action], standing))

    return {
        "server": server,
        "look": LOOKS[ServerState(server.health.state)],
        "may_edit": may("server.edit"),
        "may_manage": may("server.manage"),
        "may_read_past": may_read(user, server),
        "tabs": [
            {"url": reverse(each.url_name, args=[server.pk]), "label": each.label, "current": each.name == tab}
            for each in TABS
            if may(each.action)
        ],
    }


def places(user: User, current: str) -> list[dict[str, Any]]:
    """The tabs around the list of servers."""
    return [
        {"url": reverse(each.url_name), "label": each.label, "current": each.name == current}
        for each in PLACES
        if permissions.may(user, each.action)
    ]
