"""Read and write Sandbox rows: the claim that lets one process start or stop a sandbox, and its recorded state.

Sync functions with plain values, called from ``lifecycle`` in one hop each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Max, Q
from django.utils import timezone

from agents import agent_secrets, sandbox_limits, secrets
from agents.agent_secrets import Granted
from agents.errors import NotFound
from agents.models import Agent, AgentSecret
from agents.routes import route_of
from sandboxes.claimants import is_dead, process_name
from sandboxes.documents import Document
from sandboxes.local.processes import boot_id
from sandboxes.models import Desired, Sandbox, State

# Longer than any start: an unfinished claim means that its process died.
CLAIM_S = 90


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an agent's sandbox should be, and what we last recorded of it."""

    sandbox_id: str
    agent_id: str
    number: int
    driver: str
    soul: str
    toolsets: tuple[str, ...]
    model: str
    context_length: int | None
    state: str
    driver_state: dict[str, Any]
    layers: tuple[str, ...]
    configuration_hash: str
    api_key: str = field(repr=False, default="")
    is_archived: bool = False
    is_claimed: bool = False
    starts: int = 0
    secrets: tuple[Granted, ...] = field(repr=False, default=())
    known_values: frozenset[str] = field(repr=False, default=frozenset())
    documents: tuple[Document, ...] = field(repr=False, default=())
    limits: Mapping[str, int] = field(default_factory=dict)


def wanted(agent_id: str) -> Wanted:
    """The agent's wishes and its sandbox's row, made at the first call. NotFound for a deleted agent."""
    agent = Agent.objects.alive().select_related("soul", "route__provider").filter(pk=agent_id).first()
    if agent is None:
        raise NotFound("Agent")
    route, row = route_of(agent), _row(agent)
    return Wanted(
        sandbox_id=row.pk,
        agent_id=agent.pk,
        number=row.number,
        driver=row.driver,
        soul=agent.soul.text,
        toolsets=agent.active_toolsets(),
        model=route.model,
        context_length=route.context_length,
        state=row.state,
        driver_state=row.driver_state,
        layers=tuple(row.layers),
        configuration_hash=row.configuration_hash,
        api_key=secrets.unseal(row.sealed_api_key),
        is_archived=agent.is_archived,
        is_claimed=is_held_by(row.claimed_by, row.claimed_until),
        starts=row.starts,
        secrets=agent_secrets.granted(agent),
        known_values=agent_secrets.known_values(agent),
        limits=sandbox_limits.of(agent),
        documents=tuple(Document(*row) for row in agent.documents.values_list("path", "text", "is_restored")),
    )


def _row(agent: Agent) -> Sandbox:
    row = Sandbox.objects.filter(agent=agent).first()
    while row is None:
        number = (Sandbox.objects.aggregate(last=Max("number"))["last"] or 0) + 1
        try:
            with transaction.atomic():
                row = Sandbox.objects.create(agent=agent, number=number, driver=settings.LOGOS_SANDBOX_DRIVER)
        except IntegrityError:  # another process made it, or took the number, in the same moment
            row = Sandbox.objects.filter(agent=agent).first()
    return row


def claim(sandbox_id: str, state: str = "", *, desired: str = "", **only_if: Any) -> bool:
    """Take the right to start or stop this sandbox; False while somebody who lives has it, or when the row is not as
    ``only_if`` says. One UPDATE decides. ``desired`` is noted in the same moment."""
    changes: dict[str, Any] = {"claimed_until": timezone.now() + timedelta(seconds=CLAIM_S)}
    changes |= {"claimed_by": process_name()}
    if state:
        changes |= {"state": state, "reason": ""}
    if desired:
        changes |= {"desired": desired}
    return bool(Sandbox.objects.filter(_free(sandbox_id), **only_if).update(**changes))


def touch(sandbox_id: str, **only_if: Any) -> bool:
    """Somebody wants it to run, now; False while it is being started or stopped. Whoever stops what nobody uses
    claims it only if nobody has wanted it since, so a sandbox is never stopped under a run that just began."""
    rows = Sandbox.objects.filter(_free(sandbox_id), **only_if)
    anew = {} if only_if else {"attempts": 0, "next_attempt_at": None}
    return bool(rows.update(used_at=timezone.now(), desired=Desired.RUNNING, **anew))


def _free(sandbox_id: str) -> Q:
    """The row, when nobody who lives is starting or stopping it."""
    free = Q(claimed_until=None) | Q(claimed_until__lt=timezone.now())
    holder = Sandbox.objects.filter(pk=sandbox_id).values_list("claimed_by", flat=True).first() or ""
    if is_dead(holder):
        free |= Q(claimed_by=holder)
    return free & Q(pk=sandbox_id)


def is_held_by(holder: str, until: datetime | None) -> bool:
    """Does somebody who lives hold this claim?"""
    return until is not None and until >= timezone.now() and not is_dead(holder)


def keep_claim(sandbox_id: str) -> None:
    """It takes longer: this process goes on holding the claim."""
    rows = Sandbox.objects.filter(pk=sandbox_id, claimed_by=process_name())
    rows.update(claimed_until=timezone.now() + timedelta(seconds=CLAIM_S))


def is_held(sandbox_id: str) -> bool:
    """Is somebody who lives starting or stopping it?"""
    row = Sandbox.objects.filter(pk=sandbox_id).values_list("claimed_by", "claimed_until").first()
    return row is not None and is_held_by(*row)


def is_desired(sandbox_id: str) -> bool:
    """Should it run?"""
    return Sandbox.objects.filter(pk=sandbox_id, desired=Desired.RUNNING).exists()


def delivered(given: tuple[Granted, ...]) -> None:
    """These secrets are in a sandbox now."""
    AgentSecret.objects.filter(pk__in=[each.id for each in given]).update(delivered_at=timezone.now())


def started(
    sandbox_id: str,
    driver_state: dict[str, Any],
    layers: tuple[str, ...],
    key: str,
    digest: str,
    versions: Mapping[str, str] | None = None,
) -> None:
    """It runs and its runtime answers; gives the claim back."""
    Sandbox.objects.filter(pk=sandbox_id).update(
        state=State.RUNNING,
        reason="",
        progress="",
        asked_at=None,
        driver_state=driver_state,
        layers=list(layers),
        sealed_api_key=secrets.seal(key),
        configuration_hash=digest,
        boot_id=boot_id(),
        silences=0,
        versions=dict(versions or {}),
        starts=F("starts") + 1,
        started_at=timezone.now(),
        probed_at=timezone.now(),
        claimed_until=None,
    )


def ended(sandbox_id: str, state: str, reason: str = "") -> None:
    """It is stopped or failed; gives the claim back."""
    Sandbox.objects.filter(pk=sandbox_id).update(
        state=state, reason=secrets.redact(reason)[:500], progress="", claimed_until=None
    )


def running() -> list[str]:
    """The agents in use whose sandbox runs, as far as we know."""
    rows = Sandbox.objects.filter(state=State.RUNNING, claimed_until=None, agent__deleted_at=None)
    return list(rows.filter(agent__archived_at=None).values_list("agent_id", flat=True))


def retired() -> list[str]:
    """The deleted and archived agents whose sandbox still runs, as far as we know."""
    gone = Q(agent__deleted_at__isnull=False) | Q(agent__archived_at__isnull=False)
    return list(Sandbox.objects.filter(gone, state=State.RUNNING).values_list("agent_id", flat=True))


def leftovers(limit: int = 100) -> list[str]:
    """Deleted agents whose files are still there and whose sandbox runs no more."""
    rows = Sandbox.objects.filter(agent__deleted_at__isnull=False, files_removed_at=None).exclude(state=State.RUNNING)
    return list(rows.order_by("pk").values_list("agent_id", flat=True)[:limit])


def files_removed(sandbox_id: str) -> None:
    """Nothing of it is left on disk; gives the claim back."""
    Sandbox.objects.filter(pk=sandbox_id).update(
        state=State.STOPPED, reason="Its agent was deleted, and its files with it.",
        files_removed_at=timezone.now(), claimed_until=None, driver_state={}, sealed_api_key="",
    )  # fmt: skip


def asked(agent_id: str, **also: Any) -> None:
    """Somebody asked to prepare the agent's sandbox; its row is made if need be."""
    row = _row(Agent.objects.get(pk=agent_id))
    Sandbox.objects.filter(pk=row.pk).update(asked_at=timezone.now(), progress="", **also)


def asked_to_run(agent_id: str) -> None:
    """Somebody asked to prepare it, and wants it to run from now on."""
    asked(agent_id, desired=Desired.RUNNING, used_at=timezone.now(), attempts=0, next_attempt_at=None)


def note_progress(agent_id: str, sentence: str) -> None:
    """What is being done right now, for the person who waits; nothing once it is done."""
    Sandbox.objects.filter(agent_id=agent_id, state=State.STARTING).update(progress=sentence[:120])


def note_reason(sandbox_id: str, reason: str) -> None:
    """Something people should know of it, whatever its state."""
    Sandbox.objects.filter(pk=sandbox_id).update(reason=reason[:500])


def prepared(agent_id: str) -> None:
    """The preparation that was asked for is done, also when the sandbox ran already."""
    Sandbox.objects.filter(agent_id=agent_id).update(asked_at=None)


def not_prepared(agent_id: str, reason: str) -> None:
    """The preparation that was asked for ended without a sandbox, perhaps before it claimed anything."""
    rows = Sandbox.objects.filter(agent_id=agent_id)
    idle = rows.exclude(state=State.RUNNING).filter(claimed_until=None)
    idle.update(state=State.FAILED, reason=secrets.redact(reason)[:500])
    rows.update(asked_at=None)


def ask_again(sandbox_id: str, attempts: int, next_attempt_at: datetime) -> bool:
    """Logos is about to start it by itself; False when somebody else is, or when it need not be any more."""
    rows = Sandbox.objects.filter(_free(sandbox_id), attempts=attempts, desired=Desired.RUNNING)
    idle = rows.filter(state__in=(State.STOPPED, State.FAILED))
    return bool(idle.update(attempts=attempts + 1, next_attempt_at=next_attempt_at))


def rest(sandbox_id: str, used_at: datetime | None, reason: str) -> bool:
    """It need not run any more, unless somebody has wanted it since ``used_at``."""
    rows = Sandbox.objects.filter(_free(sandbox_id), used_at=used_at).exclude(state=State.RUNNING)
    return bool(rows.update(desired=Desired.STOPPED, reason=reason[:500], attempts=0, next_attempt_at=None))


def keep(sandbox_id: str, keep: bool) -> bool:
    """It is kept running from now on, or no longer; False when it was so already."""
    rows = Sandbox.objects.filter(pk=sandbox_id, keep_running=not keep)
    if keep:
        now = {"desired": Desired.RUNNING, "used_at": timezone.now(), "attempts": 0, "next_attempt_at": None}
        return bool(rows.update(keep_running=True, **now))
    return bool(rows.update(keep_running=False, used_at=timezone.now()))


def is_steady(sandbox_id: str) -> None:
    """It has run for a while: what went wrong before is over."""
    Sandbox.objects.filter(pk=sandbox_id, state=State.RUNNING).update(attempts=0, next_attempt_at=None)


def give_claim_back(sandbox_id: str) -> None:
    """This process claimed it and changed nothing."""
    Sandbox.objects.filter(pk=sandbox_id, claimed_by=process_name()).update(claimed_until=None)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What finds a sandbox, whatever became of its agent."""

    sandbox_id: str
    driver: str
    driver_state: dict[str, Any]
    number: int = 0
    state: str = ""
    is_deleted: bool = False
    has_files: bool = True
    has_run: bool = False


def recorded(agent_id: str) -> Recorded | None:
    """The agent's sandbox as last recorded; None when there never was one."""
    row = Sandbox.objects.select_related("agent").filter(agent_id=agent_id).first()
    if row is None:
        return None
    is_deleted, has_files = row.agent.is_deleted, row.files_removed_at is None
    has_run = row.starts > 0
    return Recorded(row.pk, row.driver, row.driver_state, row.number, row.state, is_deleted, has_files, has_run)


def lost(sandbox_id: str, driver_state: dict[str, Any], reason: str = "The sandbox ended by itself.") -> bool:
    """It ended unasked; False when it was started anew, stopped, or noted as lost in the meantime."""
    rows = Sandbox.objects.filter(pk=sandbox_id, state=State.RUNNING, driver_state=driver_state, claimed_until=None)
    began = rows.values_list("boot_id", flat=True).first() or boot_id()
    if began != boot_id():
        return bool(rows.update(state=State.STOPPED, reason="The machine was started anew."))
    return bool(rows.update(state=State.STOPPED, reason=reason[:500], crashes=F("crashes") + 1))
