"""Read what servers asked of models, for whoever may edit the server."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import QuerySet

from agents import permissions
from agents.models import Agent, ModelRoute, User
from mcp_gateway.models import McpSampling, McpServer


def of(user: User, server_id: str) -> QuerySet[McpSampling]:
    """Every question of this server, the newest first. Raises NotFound."""
    server = permissions.fetch(user, "server.edit", McpServer.objects.all(), pk=server_id)
    return McpSampling.objects.filter(server=server)


def named(user: User, found: Iterable[McpSampling]) -> list[McpSampling]:
    """The same with only those agents and models that this person sees; in three queries more. The run goes with its
    agent."""
    rows = list(found)
    asked = {row.agent_id for row in rows if row.agent_id}
    seen = {
        agent.pk: agent for agent in permissions.visible(user, Agent.objects.filter(pk__in=asked)) if agent.pk in asked
    }
    routes = ModelRoute.objects.filter(pk__in={row.route_id for row in rows if row.route_id})
    hidden = set(routes.values_list("pk", flat=True))
    hidden -= set(permissions.visible(user, routes, "route.view").values_list("pk", flat=True)) if hidden else set()
    for row in rows:
        if row.route_id in hidden:
            row.model = row.route_id = ""
        row.agent = seen.get(row.agent_id or "")
        if row.agent is None:
            row.run_id = row.call_id = ""
    return rows
