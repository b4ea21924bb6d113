"""Background work of sandboxes, run by django-q2: plain functions that may run twice without harm."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence

from asgiref.sync import async_to_sync
from django_q.tasks import async_task

from agents.errors import LogosError
from sandboxes import copying, drivers, lifecycle, probing, reconciling, records, removal
from sandboxes.models import State

logger = logging.getLogger(__name__)


def provision_later(agent_id: str) -> None:
    """Ask for the agent's sandbox to be started in the background; returns at once."""
    async_task("sandboxes.tasks.provision", agent_id, group=agent_id)


def provision(agent_id: str) -> str:
    """Start the agent's sandbox if it does not run, telling the row what is being done. The row says why when it
    fails; the next message tries again."""
    try:
        running = async_to_sync(_prepare)(agent_id)
    except LogosError as error:
        logger.warning("The sandbox of %s was not started: %s", agent_id, error.message)
        records.not_prepared(agent_id, error.message)
        return error.message
    records.prepared(agent_id)
    return running.sandbox_id


async def _prepare(agent_id: str, *, if_desired: bool = False) -> lifecycle.Running:
    told: list[asyncio.Task[None]] = []

    def tell(sentence: str) -> None:
        told.append(asyncio.ensure_future(lifecycle.in_thread(records.note_progress, agent_id, sentence)))

    try:
        return await lifecycle.ensure_running(agent_id, tell, if_desired=if_desired)
    finally:
        await asyncio.gather(*told, return_exceptions=True)


def copy_files_later(source_id: str, agent_id: str, parts: Sequence[str], prepare: bool) -> None:
    """Ask for parts of one agent's sandbox to be copied to another's in the background; returns at once."""
    async_task("sandboxes.tasks.copy_and_provision", source_id, agent_id, list(parts), prepare, group=agent_id)


def copy_and_provision(source_id: str, agent_id: str, parts: Sequence[str], prepare: bool) -> str:
    """Copy, and then prepare the sandbox if that is wished and the copy is whole."""
    said, is_whole = copy_files(source_id, agent_id, parts)
    if prepare and is_whole:
        provision(agent_id)
    else:
        records.prepared(agent_id)
    return said


def copy_files(source_id: str, agent_id: str, parts: Sequence[str]) -> tuple[str, bool]:
    """Copy parts of one agent's sandbox to that of an agent that has never run. Whoever wants to start it waits
    meanwhile. What happened, as a sentence, and whether it went well; the row says it when it did not."""
    source, target = records.recorded(source_id), records.recorded(agent_id)
    if source is None or target is None or target.is_deleted or not source.has_files:
        return "There is nothing to copy.", True
    if target.has_run or not records.claim(target.sandbox_id, State.STARTING):
        said = "It had begun to work before anything could be copied, so nothing was."
        records.note_reason(target.sandbox_id, said)
        return said, False
    records.note_progress(agent_id, "Copying files")
    owner = lifecycle.FIRST_UID + target.number if os.getuid() == 0 else None
    budget = copying.Budget(owner, beat=lambda: records.keep_claim(target.sandbox_id))
    try:
        left_out = copying.copy(
            lifecycle.root_of(source.sandbox_id), lifecycle.root_of(target.sandbox_id), parts, budget
        )
    except (LogosError, OSError) as error:
        why = error.message if isinstance(error, LogosError) else f"{error.strerror}."
        logger.error("The files of %s were not copied to %s: %s", source_id, agent_id, error)
        records.ended(target.sandbox_id, State.FAILED, f"Not everything was copied. {why}")
        return why, False
    said = f"{left_out} entries were left out: they are no files, or could not be read." if left_out else ""
    records.ended(target.sandbox_id, State.STOPPED, said)
    return said or "Everything is copied.", True


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


def tend_later(agent_id: str) -> None:
    """Ask for the agent's sandbox to be brought to what it should be, soon; returns at once."""
    async_task("sandboxes.tasks.tend", agent_id, group=agent_id, save=False)


def tend(agent_id: str) -> str:
    """Bring one agent's sandbox to what it should be."""
    return reconciling.reconcile(agent_id)


def reconcile_later() -> None:
    """Ask for all sandboxes to be brought to what they should be, soon; returns at once."""
    async_task("sandboxes.tasks.reconcile", group="sandboxes", save=False)


def reconcile() -> str:
    """Every minute: bring all sandboxes to what they should be, and end what nobody knows."""
    return "; ".join(filter(None, (reconciling.reconcile(), reconciling.sweep())))


def start_again(agent_id: str) -> str:
    """Start the agent's sandbox, unless somebody has stopped it meanwhile. The row says why when it fails."""
    try:
        return async_to_sync(_prepare)(agent_id, if_desired=True).sandbox_id
    except LogosError as error:
        logger.warning("The sandbox of %s was not started again: %s", agent_id, error.message)
        return error.message


def probe() -> str:
    """Every minute: look whether sandboxes answer and what they use."""
    return probing.probe()


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
