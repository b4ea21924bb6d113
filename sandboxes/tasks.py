"""Background work of sandboxes, run by django-q2: plain functions that may run twice without harm."""

from __future__ import annotations

import logging

from asgiref.sync import async_to_sync
from django_q.tasks import async_task

from agents.errors import LogosError
from sandboxes import drivers, lifecycle, records, removal
from sandboxes.models import State

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


def remove_files_later(agent_id: str) -> None:
    """Ask for the files of a deleted agent to be removed in the background; returns at once."""
    async_task("sandboxes.tasks.remove_files", agent_id, group=agent_id)


def remove_files(agent_id: str) -> str:
    """Remove the files of a deleted agent, unless its sandbox still runs or is being started or stopped: then the
    engine ends it and asks again. What happened, as a sentence for the record of the task."""
    known = records.recorded(agent_id)
    if known is None or not known.is_deleted or not known.has_files:
        return "There is nothing to remove."
    if known.state == State.RUNNING or not records.claim(known.sandbox_id):
        return "The sandbox has not ended yet."
    try:
        return _remove(known)
    except (LogosError, OSError) as error:
        message = getattr(error, "message", "") or f"The files could not be removed: {error.strerror}."  # type: ignore[union-attr]
        logger.error("%s: %s %s", known.sandbox_id, message, getattr(error, "detail", error))
        records.ended(known.sandbox_id, State.STOPPED, message)
        return message


def _remove(known: records.Recorded) -> str:
    driver, root = drivers.get(known.driver), lifecycle.root_of(known.sandbox_id)
    # A sandbox that a dying process started and could not write down.
    if found := async_to_sync(driver.find)(root):
        async_to_sync(driver.stop)(found.state, now=True)
    was_there = removal.remove(root.parent, known.sandbox_id)
    records.files_removed(known.sandbox_id)
    logger.info("The files of %s are removed", known.sandbox_id)
    return "The files are removed." if was_there else "There were no files."


def stop_later(agent_id: str) -> None:
    """Ask for the agent's sandbox to be stopped in the background; returns at once."""
    async_task("sandboxes.tasks.stop", agent_id, group=agent_id)


def restart_later(agent_id: str) -> None:
    """Ask for the agent's sandbox to be stopped and started again in the background; returns at once."""
    async_task("sandboxes.tasks.restart", agent_id, group=agent_id)


def stop(agent_id: str) -> str:
    """Stop the agent's sandbox. The row says why when it would not; stopping what is stopped changes nothing."""
    try:
        async_to_sync(lifecycle.stop)(agent_id)
    except LogosError as error:
        logger.warning("The sandbox of %s was not stopped: %s", agent_id, error.message)
        return error.message
    return "stopped"


def restart(agent_id: str) -> str:
    """Stop the agent's sandbox and start it; what would not stop is not started over it."""
    stopped = stop(agent_id)
    return provision(agent_id) if stopped == "stopped" else stopped
