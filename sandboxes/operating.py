"""Start, stop and start anew a sandbox because a person said so, by whatever door; each is in the audit.

Who may is asked by the door. What Logos does by itself (a message, idleness, repair) is told by the sandbox's own row.
"""

from __future__ import annotations

from asgiref.sync import async_to_sync

from agents import audit, preparing
from agents.errors import Conflict
from agents.models import Agent, User
from sandboxes import lifecycle, tasks
from sandboxes.lifecycle import Progress


def start(user: User, agent: Agent, *, wait: bool = False, progress: Progress = lambda sentence: None) -> None:
    """Have it prepared in the background, or ``wait`` until the agent runtime in it answers, told by ``progress``.

    Raises Conflict for an archived agent, SandboxError when it does not come up."""
    if agent.is_archived:
        raise Conflict(
            "This agent is archived, so its sandbox stays stopped.",
            reason="archived",
            action="Take it out of the archive first.",
        )
    _note("sandbox_started", user, agent)
    if wait:
        async_to_sync(lifecycle.ensure_running)(agent.pk, progress=progress)
    else:
        preparing.ask(agent, True)


def stop(user: User, agent: Agent, *, wait: bool = True, now: bool = False) -> None:
    """End everything in it, ``now`` without patience; files stay. In the background without ``wait``. Raises LogosError
    when it would not end."""
    _note("sandbox_stopped", user, agent)
    if wait:
        async_to_sync(lifecycle.stop)(agent.pk, now=now)
    else:
        tasks.stop_later(agent.pk)


def restart(user: User, agent: Agent, *, wait: bool = True) -> None:
    """End everything in it, then have it started in the background."""
    _note("sandbox_restarted", user, agent)
    if wait:
        async_to_sync(lifecycle.stop)(agent.pk, and_stay=False)
        preparing.ask(agent, True)
    else:
        tasks.restart_later(agent.pk)


def _note(kind: str, user: User, agent: Agent) -> None:
    audit.note(kind, actor=user, about=agent)
