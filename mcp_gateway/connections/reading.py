"""Where an MCP server connected to, and who allowed it: for whoever may edit the server."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, QuerySet

from agents import permissions
from agents.models import Agent, User
from mcp_gateway.boxes import PRIVATE
from mcp_gateway.models import McpConnection, McpServer, Place, ServerKind

# So many changes of a server are looked through for who allowed a host.
CHANGES = 1_000


@dataclass(frozen=True, slots=True)
class Host:
    """A host of a server: who allowed it and when (None: not told by what is kept), how often it was needed and when
    last, and whether it is allowed still."""

    host: str
    allowed_by: str | None
    allowed_at: datetime | None
    count: int = 0
    last_at: datetime | None = None
    is_allowed: bool = True

    @property
    def address(self) -> str:
        """With its port in any case."""
        return self.host if ":" in self.host.removeprefix(PRIVATE) else f"{self.host}:443"


def of(user: User, server_id: str) -> QuerySet[McpConnection]:
    """Every connection of this server, the newest first. Raises NotFound."""
    server = permissions.fetch(user, "server.edit", McpServer.objects.all(), pk=server_id)
    return McpConnection.objects.filter(server=server)


def named(user: User, found: Iterable[McpConnection]) -> list[McpConnection]:
    """The same with only those agents that this person sees; in one query more."""
    rows = list(found)
    asked = {row.agent_id for row in rows if row.agent_id}
    seen = {agent.pk: agent for agent in permissions.visible(user, Agent.objects.filter(pk__in=asked))} if asked else {}
    for row in rows:
        row.is_copy = row.agent_id is not None  # type: ignore[attr-defined]
        row.agent = seen.get(row.agent_id or "")
    return rows


def unseen(server: McpServer) -> str:
    """Why its connections are not seen; "" where they are."""
    if server.kind != ServerKind.STDIO:
        return "It is elsewhere: where it connects to is not seen from here."
    if server.place != Place.SANDBOX:
        return (
            "It runs on this host, outside a sandbox: it reaches what Logos itself reaches, and nobody sees where it "
            "connects to."
        )
    return ""


def hosts(server: McpServer) -> list[Host]:
    """Those it may reach, and those it did reach while they were allowed. Three queries."""
    allowed = McpConnection.objects.filter(server=server, allowed=True).order_by().values("rule")
    used = {
        rule: (count, last)
        for rule, count, last in allowed.annotate(count=Count("pk"), last=Max("at")).values_list(
            "rule", "count", "last"
        )
    }
    since = _since(server)
    people = {
        each.pk: each.display_name
        for each in User.objects.filter(pk__in={by for by, _ in since.values() if by is not None})
    }

    def told(host: str, *, is_allowed: bool) -> Host:
        by, at = since.get(host, (None, None))
        count, last = used.get(host, (0, None))
        return Host(host, people.get(by) if by is not None else None, at, count, last, is_allowed)

    current = [str(each) for each in server.hosts]
    former = sorted(set(used) - set(current))
    return [*(told(each, is_allowed=True) for each in current), *(told(each, is_allowed=False) for each in former)]


def _since(server: McpServer) -> dict[str, tuple[int | None, datetime | None]]:
    """By whom and when each host was put among those of the server last, as far as its history is looked through."""
    history: Any = McpServer.history
    records = history.filter(id=server.pk).order_by("-history_id")
    newest = list(records.values_list("hosts", "history_date", "history_user_id", "history_type")[:CHANGES])
    found: dict[str, tuple[int | None, datetime | None]] = {}
    before: set[str] = set()
    for number, (named, at, by, kind) in enumerate(reversed(newest)):
        now = {str(each) for each in named or ()}
        is_told = number > 0 or kind == "+"  # what the oldest record holds may be older than it
        found |= dict.fromkeys(now - before, (by, at) if is_told else (None, None))
        before = now
    return found
