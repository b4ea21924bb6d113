"""How often each tool was called in the last hour, read from the records: rates go on counting after a restart."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, Q
from django.db.models.functions import TruncSecond
from django.utils import timezone

from mcp_gateway.models import McpCall
from sandboxes.tool_server import outside
from sandboxes.tool_server.models import ToolRule

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Before:
    """So many calls of a tool (by its name in rules) of an agent, so many seconds ago."""

    agent_id: str
    tool: str
    ago_s: float
    count: int


def lately() -> list[Before]:
    """What counts still, the oldest first; nothing where no rule limits how often. Calls of the last half second before
    a kill are in no record."""
    about = Q(tool="*") | Q(tool__startswith=outside.PREFIX)
    if not ToolRule.objects.filter(about).exclude(per_minute=None, per_hour=None).exists():
        return []
    now = timezone.now()
    judged = McpCall.objects.filter(at__gt=now - HOUR).exclude(decision="").order_by()
    found = judged.values("agent_id", "server_name", "tool", second=TruncSecond("at")).annotate(count=Count("pk"))
    return [
        Before(
            each["agent_id"],
            outside.name_of(each["server_name"], each["tool"]),
            max(0.0, (now - each["second"]).total_seconds()),
            each["count"],
        )
        for each in found.order_by("second")
    ]
