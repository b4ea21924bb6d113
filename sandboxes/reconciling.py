"""Make sandboxes what they should be, and end what no row knows: background work that may run twice at once.

Every change is one conditional UPDATE or happens under the sandbox's claim. Only what lies below this
installation's own directory is looked at or ended.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django_q.tasks import async_task

from agents import halting
from agents.errors import LogosError
from sandboxes import activity, drivers, lifecycle, records
from sandboxes.activity import Use
from sandboxes.claimants import host
from sandboxes.driver import Survivor
from sandboxes.local.processes import boot_id
from sandboxes.models import Desired, Sandbox, State
from sandboxes.next_step import MAX_ATTEMPTS, MOST_SILENCES, Facts, Step, next_step, pause_after

logger = logging.getLogger(__name__)

# A sandbox without a row is younger than this only if its row is being written right now.
NEWBORN_S = 60.0


def idle_after() -> timedelta | None:
    """How long a sandbox may be unused before it is stopped; None: for ever."""
    minutes = settings.LOGOS_IDLE_STOP_MINUTES
    return timedelta(minutes=minutes) if minutes > 0 else None


def reconcile(agent_id: str = "") -> str:
    """Bring all sandboxes, or one agent's, one step nearer to what they should be. What was done, in words."""
    done: Counter[str] = Counter()
    rows = _rows(agent_id)
    since = timezone.now() - (idle_after() or timedelta(hours=1))
    uses = activity.uses([row.agent_id for row in rows], since)
    for row in rows:
        try:
            step = _step_for(row, uses[row.agent_id])
            if step != Step.NOTHING and DO[step](row):
                logger.info("The sandbox %s: %s", row.pk, step)
                done[step] += 1
        except LogosError as error:
            logger.warning("The sandbox %s could not be tended: %s %s", row.pk, error.message, error.detail)
        except Exception:
            logger.exception("The sandbox %s could not be tended", row.pk)
    return ", ".join(f"{step}: {count}" for step, count in sorted(done.items()))


def _rows(agent_id: str) -> list[Sandbox]:
    rows = Sandbox.objects.select_related("agent").filter(files_removed_at=None)
    if agent_id:
        return list(rows.filter(agent_id=agent_id))
    moving = Q(state__in=(State.RUNNING, State.STARTING)) | Q(claimed_until__isnull=False)
    return list(rows.filter(moving | Q(desired=Desired.RUNNING)).order_by("pk"))


def _step_for(row: Sandbox, use: Use) -> Step:
    facts = facts_of(row, use, timezone.now())
    step = next_step(facts, idle_after())
    is_well = step in (Step.NOTHING, Step.STEADY) and row.state == State.RUNNING and row.claimed_until is None
    # Composing takes many rows, so it is only done for what is otherwise well and at rest.
    if is_well and not use.is_busy:
        facts = replace(facts, is_drifted=async_to_sync(lifecycle.needs_new_start)(row.agent_id, lifecycle.in_thread))
        return next_step(facts, idle_after())
    return step


def facts_of(row: Sandbox, use: Use, now: datetime) -> Facts:
    """What the decision needs, from the row, the driver and what rooms above know."""
    last = max(filter(None, (row.used_at, row.started_at, use.last_at)), default=row.created_at)
    return Facts(
        state=row.state,
        desired=row.desired,
        keep_running=row.keep_running,
        is_claimed=row.claimed_until is not None,
        is_held=records.is_held_by(row.claimed_by, row.claimed_until),
        is_alive=row.state == State.RUNNING and _is_alive(row),
        is_retired=row.agent.is_archived or row.agent.is_deleted,
        is_busy=use.is_busy,
        is_silent=row.silences >= MOST_SILENCES,
        is_due=row.next_attempt_at is None or row.next_attempt_at <= now,
        attempts=row.attempts,
        unused_for=now - last,
        ran_for=now - (row.started_at or now),
    )


def _is_ours(row: Sandbox) -> bool:
    return drivers.get(row.driver).is_of(row.driver_state, lifecycle.root_of(row.pk))


def _is_alive(row: Sandbox) -> bool:
    return _is_ours(row) and async_to_sync(drivers.get(row.driver).poll)(row.driver_state) is None


# the steps: each returns whether it did anything -------------------------------------------------


def _release(row: Sandbox) -> bool:
    if not records.claim(row.pk):
        return False
    row.refresh_from_db(fields=("state",))
    if row.state == State.STARTING:
        records.ended(row.pk, State.STOPPED, "Its start was interrupted.")
    else:
        records.give_claim_back(row.pk)
    return True


def _lost(row: Sandbox) -> bool:
    if not _is_ours(row):
        return records.lost(row.pk, row.driver_state, "It ran in the installation this one was copied from.")
    return records.lost(row.pk, row.driver_state)


def _stop(row: Sandbox) -> bool:
    return _end_quietly(row, row.reason or "Stopped.", desired=Desired.STOPPED)


def _idle(row: Sandbox) -> bool:
    minutes = settings.LOGOS_IDLE_STOP_MINUTES
    return _end_quietly(row, f"Stopped after {minutes} minutes without use.", desired=Desired.STOPPED)


def _renew(row: Sandbox) -> bool:
    return _anew(row, "It is started anew, because its composition has changed.")


def _revive(row: Sandbox) -> bool:
    return _anew(row, "It is started anew, because the agent runtime in it did not answer.")


def _anew(row: Sandbox, reason: str) -> bool:
    if halting.is_halted(agent_id=row.agent_id, server=host()):
        return False  # what is stopped is not started anew, and what runs may still be asked what it did
    if not _end_quietly(row, reason, desired=""):
        return False
    records.ask_again(row.pk, row.attempts, timezone.now() + pause_after(row.attempts))
    _start_later(row)
    return True


def _end_quietly(row: Sandbox, reason: str, *, desired: str) -> bool:
    """Stop it, unless somebody has wanted it since we looked."""
    if not records.claim(row.pk, desired=desired, used_at=row.used_at, starts=row.starts):
        return False
    known = records.recorded(row.agent_id)
    if known is not None:
        async_to_sync(lifecycle.stop_claimed)(known, reason=reason)
    return True


def _start(row: Sandbox) -> bool:
    if halting.is_halted(agent_id=row.agent_id, server=host()):
        return False
    if not records.ask_again(row.pk, row.attempts, timezone.now() + pause_after(row.attempts)):
        return False
    _start_later(row)
    return True


def _start_later(row: Sandbox) -> None:
    async_task("sandboxes.tasks.start_again", row.agent_id, group=row.agent_id)


def _rest(row: Sandbox) -> bool:
    return records.rest(row.pk, row.used_at, row.reason)


def _give_up(row: Sandbox) -> bool:
    reason = f"{row.reason} Logos tried {MAX_ATTEMPTS} times to start it again and now waits.".strip()
    return records.rest(row.pk, row.used_at, reason)


def _steady(row: Sandbox) -> bool:
    records.is_steady(row.pk)
    return True


DO: dict[Step, Callable[[Sandbox], bool]] = {
    Step.RELEASE: _release,
    Step.LOST: _lost,
    Step.STOP: _stop,
    Step.IDLE: _idle,
    Step.REVIVE: _revive,
    Step.RENEW: _renew,
    Step.STEADY: _steady,
    Step.START: _start,
    Step.REST: _rest,
    Step.GIVE_UP: _give_up,
}


# what no row knows ---------------------------------------------------------------------------------


def sweep() -> str:
    """End sandboxes that run below our directory although their row is gone, stopped, or knows another one."""
    ended = 0
    agents = Path(settings.LOGOS_HOME) / "agents"
    for name in drivers.FACTORIES:
        driver = drivers.get(name)
        for survivor in async_to_sync(driver.survivors)(agents):
            try:
                ended += _end_orphan(name, survivor)
            except LogosError as error:
                logger.warning("A left-over sandbox could not be ended: %s %s", error.message, error.detail)
    return f"orphans ended: {ended}" if ended else ""


def _end_orphan(driver_name: str, survivor: Survivor) -> bool:
    driver = drivers.get(driver_name)
    row = Sandbox.objects.filter(pk=survivor.name).first()
    if row is None:
        if survivor.age_s < NEWBORN_S:
            return False
        logger.warning("The sandbox %s runs and has no row: it is ended", survivor.name)
        async_to_sync(driver.stop)(survivor.state, now=True)
        return True
    if _is_known(row, survivor) or not records.claim(row.pk):
        return False
    row.refresh_from_db()
    if _is_known(row, survivor):  # noted between our looking and our claim
        records.give_claim_back(row.pk)
        return False
    logger.warning("The sandbox %s runs although its row says otherwise: it is ended", survivor.name)
    try:
        async_to_sync(driver.stop)(survivor.state, now=True)
    finally:
        if row.state == State.STARTING:
            records.ended(row.pk, State.STOPPED, "Its start was interrupted.")
        else:
            records.give_claim_back(row.pk)
    return True


def _is_known(row: Sandbox, survivor: Survivor) -> bool:
    return row.state == State.RUNNING and row.driver_state == dict(survivor.state)


def note_boot() -> int:
    """At the start of Logos: what ran before the machine was started anew is known to be stopped. How many."""
    rows = Sandbox.objects.filter(state=State.RUNNING).exclude(boot_id__in=("", boot_id()))
    return sum(records.lost(row.pk, row.driver_state) for row in rows if _is_ours(row))
