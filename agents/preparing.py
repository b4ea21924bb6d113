"""Ask for an agent's sandbox to be prepared in the background; who can do that listens."""

from __future__ import annotations

from django.conf import settings
from django.dispatch import Signal

from agents.models import Agent

# Sent with ``agent`` inside the transaction that made it.
agent_wanted = Signal()


def is_wished(wished: bool | None) -> bool:
    """What was asked for, or else what LOGOS_PREPARE_AGENTS says."""
    return bool(settings.LOGOS_PREPARE_AGENTS) if wished is None else wished


def ask(agent: Agent, wished: bool | None = None) -> None:
    """Have the sandbox prepared, if that is wished. Returns at once either way."""
    if is_wished(wished):
        agent_wanted.send(Agent, agent=agent)
