"""What hangs on the name and the category of a server: rules, halts, who gives access. Changing them must not shake these off."""

from __future__ import annotations

from agents import permissions
from agents.errors import Conflict
from agents.models import Halt, HaltScope, User
from mcp_gateway.models import AccessTier, McpCategory, McpServer
from sandboxes.tool_server import outside
from sandboxes.tool_server.models import ToolRule
from sandboxes.tool_server.tiers import Tier


def require_name(old: str) -> None:
    """Return if a server of this name may get another one. Conflict while rules or a stop name it: they would not hold
    for the new one."""
    if Halt.objects.filter(scope=HaltScope.SERVER, subject=old, lifted_at=None).exists():
        raise Conflict(
            "This server is stopped by its name.", reason="named", action="Resume it first, then give it another name."
        )
    if ToolRule.objects.filter(tool__startswith=outside.name_of(old, "")).exists():
        raise Conflict(
            "Rules about calls name this server, and would not hold for it under another name.",
            reason="named",
            action="Take them away first, give it its name, and make them again.",
        )


def require_category(user: User, server: McpServer, old: str) -> None:
    """Return if the server may stand in its category in place of ``old``: where that says something else about
    access or calls, it is for whoever manages the server."""
    before, now = _said(old), _said(server.category)
    if before.calls != now.calls or (server.tier == AccessTier.CATEGORY and before.access != now.access):
        permissions.require(user, "server.manage", server)


def _said(category: str) -> McpCategory:
    found = McpCategory.objects.filter(pk=category).first()
    return found or McpCategory(name=category, access=AccessTier.USER, calls=Tier.ALLOW)
