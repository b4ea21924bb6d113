"""Write connections of MCP servers in batches, and forget them when they are old, or a server has made too many."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Count, QuerySet
from django.utils import timezone

from sandboxes.egress.proxy import Decision
from sandboxes.egress.rows import AFTERWARDS, SWEPT, columns

if TYPE_CHECKING:
    from mcp_gateway.models import McpConnection

# Some 40 MB. Without a limit a server could fill the disk by asking.
MOST_PER_SERVER = 100_000


@dataclass(frozen=True, slots=True)
class Noted:
    """A decision, of which server, and of whose copy of it."""

    server_id: str
    server: str
    agent_id: str
    decision: Decision
    at: datetime


def store(noted: list[Noted]) -> None:
    """Insert what is new, complete what is over by now. Writing twice is harmless; a server or an agent that is gone
    meanwhile is left out."""
    from agents.models import Agent
    from mcp_gateway.models import McpConnection, McpServer

    servers = set(McpServer.objects.filter(pk__in={each.server_id for each in noted}).values_list("pk", flat=True))
    agents = set(Agent.objects.filter(pk__in={each.agent_id for each in noted}).values_list("pk", flat=True))
    newest: dict[str, McpConnection] = {}
    for each in noted:
        before = newest.get(each.decision.id)
        newest[each.decision.id] = McpConnection(
            server_id=each.server_id if each.server_id in servers else None,
            server_name=each.server[:80],
            agent_id=each.agent_id if each.agent_id in agents else None,
            **columns(each.decision, before.at if before is not None else each.at),
        )
    McpConnection.objects.bulk_create(
        newest.values(), update_conflicts=True, unique_fields=["id"], update_fields=AFTERWARDS
    )


def sweep() -> int:
    """Delete connections older than LOGOS_EGRESS_DAYS, and the oldest of a server that has more than it may, some at a
    time; how many."""
    from mcp_gateway.models import McpConnection

    before = timezone.now() - timedelta(days=settings.LOGOS_EGRESS_DAYS)
    if count := _delete(McpConnection.objects.filter(at__lt=before).order_by("at"), SWEPT):
        return count
    counted = McpConnection.objects.order_by().values_list("server").annotate(count=Count("pk"))
    return sum(
        _delete(McpConnection.objects.filter(server=server).order_by("pk"), min(count - MOST_PER_SERVER, SWEPT))
        for server, count in counted.filter(count__gt=MOST_PER_SERVER)
    )


def _delete(rows: QuerySet[McpConnection], most: int) -> int:
    found = list(rows.values_list("pk", flat=True)[:most])
    return rows.model._default_manager.filter(pk__in=found).delete()[0] if found else 0
