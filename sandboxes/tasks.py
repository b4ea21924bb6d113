"""Background work of sandboxes, run by django-q2: plain functions that may run twice without harm."""

from __future__ import annotations

import logging

from asgiref.sync import async_to_sync
from django_q.tasks import async_task

from agents.errors import LogosError
from sandboxes import lifecycle

logger = logging.getLogger(__name__)


def provision_later(agent_id: str) -> None:
    """Ask for the agent's sandbox to be started in the background; returns at once."""
    async_task("sandboxes.tasks.provision", agent_id, group=agent_id)


def provision(agent_id: str) -> str:
    """Start the agent's sandbox if it does not run. The row says why when it fails; the next message tries again."""
    try:
        running = async_to_sync(lifecycle.ensure_running)(agent_id)
    except LogosError as error:
        logger.warning("The sandbox of %s was not started: %s", agent_id, error.message)
        return error.message
    return running.sandbox_id
