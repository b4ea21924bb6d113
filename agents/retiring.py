"""Archive, unarchive and delete agents: one story for pages, API, command and console.

An archived agent keeps everything, its name included, and answers nobody until it is taken out again. A deleted one
is gone for good: its files are removed from disk, its name is free; its conversations and runs stay readable. Either
way what it does at that moment is stopped, and then its sandbox (rooms above listen to the two signals).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.dispatch import Signal
from django.utils import timezone

from agents.editing import editing
from agents.errors import LogosError
from agents.models import Agent, User

if TYPE_CHECKING:
    from django.db.models import QuerySet

# Sent with ``agent`` and ``by`` inside the transaction of the change.
agent_archived = Signal()
agent_deleted = Signal()


def archive(user: User, agent_id: str, version: int | None = None) -> Agent:
    """Nobody can message it from now on; archiving twice is archiving once."""
    with editing(user, "agent.manage", _living(), agent_id, version) as agent:
        if not agent.is_archived:
            agent.archived_at = timezone.now()
            agent.save(update_fields=["archived_at", "updated_at"])
            agent_archived.send(Agent, agent=agent, by=user)
    return agent


def unarchive(user: User, agent_id: str, version: int | None = None) -> Agent:
    """It answers again; its sandbox is made again by the first message."""
    with editing(user, "agent.manage", _living(), agent_id, version) as agent:
        if agent.is_archived:
            agent.archived_at = None
            agent.save(update_fields=["archived_at", "updated_at"])
    return agent


def delete(user: User, agent_id: str, version: int | None = None) -> Agent:
    """For good. NotFound for one that is deleted already."""
    with editing(user, "agent.manage", _living(), agent_id, version) as agent:
        agent.mark_deleted()
        agent.notes.all().delete()
        agent_deleted.send(Agent, agent=agent, by=user)
    return agent


def require_use(agent: Agent) -> None:
    """Return if the agent can be sent a message; LogosError says why not and what to do."""
    if agent.is_deleted:
        raise LogosError(
            "This agent was deleted; its chats can be read but not continued.",
            reason="conflict",
            action="Start a chat with another agent.",
        )
    if agent.is_archived:
        raise LogosError(
            f"{agent.name} is archived; its chats can be read but not continued.",
            reason="conflict",
            action="Whoever manages it can take it out of the archive.",
        )


def _living() -> QuerySet[Agent]:
    return Agent.objects.alive().select_related("owner", "soul", "route__provider")
