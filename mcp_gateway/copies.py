"""The copies of a server that agents have for themselves, for people: each sees those of agents they see."""

from __future__ import annotations

from dataclasses import dataclass

from agents import permissions
from agents.models import Agent, User
from mcp_gateway import server_pages
from mcp_gateway.models import McpServer
from mcp_gateway.models.servers import ServerState


@dataclass(frozen=True, slots=True)
class Copy:
    """How one agent's copy was when the gateway last looked."""

    agent: Agent
    state: str
    reason: str
    starts: int
    errors: str = ""

    @property
    def look(self) -> str:
        """How its state is drawn."""
        return server_pages.LOOKS[ServerState(self.state)]

    @property
    def state_label(self) -> str:
        """Its state in words."""
        return str(ServerState(self.state).label)


def of(user: User, server: McpServer) -> list[Copy]:
    """The copies of ``server``, which ``user`` sees, by the agents' names; their error output for who may edit it."""
    known = {child["agent"]: child for child in server.health.children}
    if not known:
        return []
    agents = permissions.visible(user, Agent.objects.alive()).filter(pk__in=known).order_by("name")
    may_edit = bool(permissions.allows(user, "server.edit", server))
    found = []
    for agent in agents:
        child = known[agent.pk]
        errors = child["errors"] if may_edit else ""
        found.append(Copy(agent, child["state"], child["reason"], child["starts"], errors))
    return found
