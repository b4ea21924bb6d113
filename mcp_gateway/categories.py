"""The table of categories: read for a server, and written by admins."""

from __future__ import annotations

import re

from django.db.models import Count, QuerySet

from agents import audit, permissions
from agents.errors import Invalid, NotFound
from agents.invisible import first_hidden
from agents.models import User
from mcp_gateway.models import AccessTier, McpCategory, McpServer
from sandboxes.tool_server.tiers import Tier

NAME = re.compile(r"[^\x00-\x1f\x7f]{1,40}")
MOST = 200


def tier_of(server: McpServer) -> str:
    """Who may let agents use this server: what it says itself, else its category; without either, the user."""
    if server.tier != AccessTier.CATEGORY:
        return server.tier
    found = McpCategory.objects.filter(name=server.category).values_list("access", flat=True).first()
    return found or AccessTier.USER


def calls_of(server: McpServer) -> str:
    """What becomes of calls of this server's tools where no rule says otherwise."""
    found = McpCategory.objects.filter(name=server.category).values_list("calls", flat=True).first()
    return found or Tier.ALLOW


def rows() -> QuerySet[McpCategory]:
    """The whole table; whoever may sign in may read it."""
    return McpCategory.objects.all()


def known(user: User) -> list[str]:
    """Names to choose from: those of the table, and those of servers this person sees."""
    return sorted({*rows().values_list("name", flat=True), *counted(user)})


def counted(user: User) -> dict[str, int]:
    """How many of the servers this person sees are of each category."""
    seen = permissions.visible(user, McpServer.objects.exclude(category="")).order_by()
    return dict(seen.values_list("category").annotate(Count("pk", distinct=True))[:MOST])


def put(user: User, name: str, access: str, calls: str) -> McpCategory:
    """What holds for servers of this category from now on. For admins."""
    permissions.require(user, "tool.site")
    name = name.strip()
    if not NAME.fullmatch(name) or first_hidden(name) is not None:
        raise Invalid("A category has 1 to 40 visible characters.", field="name")
    if access not in AccessTier.values or access == AccessTier.CATEGORY:
        raise Invalid("Access is given by one of: auto, user, admin, deny.", field="access")
    if calls not in Tier.values:
        raise Invalid(f"Calls are one of: {', '.join(Tier.values)}.", field="calls")
    row = McpCategory.objects.filter(pk=name).first() or McpCategory(name=name)
    if row._state.adding and McpCategory.objects.count() >= MOST:
        raise Invalid(f"There are {MOST} categories already.", action="Remove one first.")
    row.access, row.calls = access, calls
    row.save()
    audit.note("mcp_category_set", actor=user, name=name, access=access, calls=calls)
    return row


def remove(user: User, name: str) -> None:
    """Take a line away: user and allow hold again. NotFound when there is none."""
    permissions.require(user, "tool.site")
    row = McpCategory.objects.filter(pk=name).first()
    if row is None:
        raise NotFound("Category")
    row.delete()
    audit.note("mcp_category_removed", actor=user, name=name)
