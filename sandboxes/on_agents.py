"""What sandboxes do when an agent is deleted, and what the pages of agents are told of them."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from agents import agent_pages, retiring
from agents.models import Agent
from sandboxes import tasks


def connect() -> None:
    """Listen to what becomes of agents, and take part in their pages."""
    retiring.agent_deleted.connect(remove_files)
    agent_pages.LOSSES.append(losses)


def remove_files(agent: Agent, **rest: Any) -> None:
    """In the background, once its sandbox has ended."""
    transaction.on_commit(lambda: tasks.remove_files_later(agent.pk))


def losses(agent: Agent) -> list[str]:
    """What a deletion takes from disk."""
    return [
        "Its sandbox is stopped, with everything that runs in it.",
        "Its files are removed from this machine: workspace, home directory, notes and sessions. There is no copy.",
    ]
