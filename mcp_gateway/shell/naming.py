"""Find the agent or the server somebody names on the command line."""

from __future__ import annotations

from django.db.models import Q

from agents import permissions
from agents.models import Agent, User
from mcp_gateway import servers
from mcp_gateway.models import McpServer


def agent_named(user: User, name_or_id: str, action: str = "access.give") -> Agent:
    return permissions.fetch(user, action, Agent.objects.alive().filter(Q(pk=name_or_id) | Q(name=name_or_id)))


def server_named(user: User, name_or_id: str, action: str) -> McpServer:
    return permissions.fetch(user, action, servers.rows().filter(Q(pk=name_or_id) | Q(name=name_or_id)))
