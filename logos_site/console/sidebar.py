"""The console's sidebar: every model this person may look at, under the noun it belongs to."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

# What an operator looks for first stands first. A model that is not named here comes under "More".
GROUPS: tuple[tuple[str, dict[str, str]], ...] = (
    (
        "Agents",
        {
            "agents.Agent": "smart_toy",
            "agents.Soul": "edit_note",
            "agents.SoulRevision": "history_edu",
            "agents.Capability": "handyman",
            "agents.Document": "description",
            "agents.AgentSecret": "key",
        },
    ),
    (
        "Runs",
        {
            "runs.Run": "bolt",
            "runs.Approval": "approval",
            "runs.ApprovalRule": "rule",
            "runs.ReviewerSettings": "tune",
            "runs.ReviewedAgent": "toggle_on",
            "runs.ReviewerOpinion": "rate_review",
            "runs.ReviewerReversal": "undo",
            "runs.Conversation": "forum",
            "runs.Message": "chat",
            "runs.RunEvent": "timeline",
        },
    ),
    (
        "Sandboxes and models",
        {
            "sandboxes.Sandbox": "deployed_code",
            "sandboxes.HealthSample": "monitor_heart",
            "sandboxes.InferenceCall": "network_node",
            "sandboxes.EgressDecision": "public",
            "agents.Learning": "school",
            "agents.HostGrant": "key",
            "agents.ModelRoute": "route",
            "agents.Provider": "cloud",
            "agents.Policy": "policy",
            "agents.Preset": "library_books",
            "mcp_gateway.McpServer": "hub",
            "mcp_gateway.McpSecret": "key",
            "mcp_gateway.McpHealth": "monitor_heart",
            "mcp_gateway.McpCategory": "category",
            "mcp_gateway.McpPin": "push_pin",
            "mcp_gateway.McpAccess": "handshake",
            "mcp_gateway.McpToken": "vpn_key",
            "mcp_gateway.McpCall": "call_made",
            "mcp_gateway.McpSampling": "psychology",
            "mcp_gateway.McpConnection": "lan",
            "mcp_gateway.McpLease": "monitor_heart",
        },
    ),
    (
        "People",
        {
            "agents.User": "person",
            "auth.Group": "group",
            "agents.ApiToken": "vpn_key",
            "agents.SecurityEvent": "security",
            "channels_app.PushDevice": "notifications",
            "channels_app.Notices": "mark_email_unread",
        },
    ),
    (
        "System",
        {
            "runs.EngineBeat": "monitor_heart",
            "django_q.Success": "task_alt",
            "django_q.Failure": "error",
            "django_q.OrmQ": "pending_actions",
            "django_q.Schedule": "schedule",
        },
    ),
)


def sidebar(request: HttpRequest, apps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Groups of links, in order; ``apps`` is what Django's admin says this person may open."""
    found = {entry["model"]._meta.label: entry for app in apps for entry in app["models"] if entry["admin_url"]}
    groups = [
        (title, [_link(request, found.pop(label), icon) for label, icon in icons.items() if label in found])
        for title, icons in GROUPS
    ]
    groups.append(("More", [_link(request, entry, "table_rows") for entry in found.values()]))
    return [{"title": title, "links": links} for title, links in groups if links]


def _link(request: HttpRequest, entry: dict[str, Any], icon: str) -> dict[str, Any]:
    url = entry["admin_url"]
    return {"label": entry["name"], "url": url, "icon": icon, "current": request.path.startswith(url)}
