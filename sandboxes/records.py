"""Read and write Sandbox rows: the claim that lets one process start or stop a sandbox, and its recorded state.

Sync functions with plain values, called from ``lifecycle`` in one hop each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Max, Q
from django.utils import timezone

from agents import agent_secrets, secrets
from agents.agent_secrets import Granted
from agents.errors import NotFound
from agents.models import Agent, AgentSecret
from agents.routes import route_of
from sandboxes.claimants import is_dead, process_name
from sandboxes.documents import Document
from sandboxes.models import Sandbox, State

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
    secrets: tuple[Granted, ...] = field(repr=False, default=())
    known_values: frozenset[str] = field(repr=False, default=frozenset())
    documents: tuple[Document, ...] = field(repr=False, default=())


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
        secrets=agent_secrets.granted(agent),
        known_values=agent_secrets.known_values(agent),
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


def claim(sandbox_id: str, state: str = "") -> bool:
    """Take the right to start or stop this sandbox; False while somebody who lives has it. One UPDATE decides."""
    now = timezone.now()
    changes: dict[str, Any] = {"claimed_until": now + timedelta(seconds=CLAIM_S), "claimed_by": process_name()}
    if state:
        changes |= {"state": state, "reason": ""}
    free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    holder = Sandbox.objects.filter(pk=sandbox_id).values_list("claimed_by", flat=True).first() or ""
    if is_dead(holder):
        free |= Q(claimed_by=holder)
    return bool(Sandbox.objects.filter(free, pk=sandbox_id).update(**changes))


def keep_claim(sandbox_id: str) -> None:
    """It takes longer: this process goes on holding the claim."""
    rows = Sandbox.objects.filter(pk=sandbox_id, claimed_by=process_name())
    rows.update(claimed_until=timezone.now() + timedelta(seconds=CLAIM_S))


def is_abandoned(sandbox_id: str) -> bool:
    """Has the process that is starting this sandbox died?"""
    row = Sandbox.objects.filter(pk=sandbox_id).values_list("claimed_by", "claimed_until").first()
    return row is not None and (is_dead(row[0]) or row[1] is None or row[1] < timezone.now())


def delivered(given: tuple[Granted, ...]) -> None:
    """These secrets are in a sandbox now."""
    AgentSecret.objects.filter(pk__in=[each.id for each in given]).update(delivered_at=timezone.now())


def started(sandbox_id: str, driver_state: dict[str, Any], layers: tuple[str, ...], key: str, digest: str) -> None:
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


def asked(agent_id: str) -> None:
    """Somebody asked to prepare the agent's sandbox; its row is made if need be."""
    row = _row(Agent.objects.get(pk=agent_id))
    Sandbox.objects.filter(pk=row.pk).update(asked_at=timezone.now(), progress="")


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


def lost(sandbox_id: str, driver_state: dict[str, Any]) -> None:
    """It ended by itself; nothing changes if it was started anew in the meantime."""
    Sandbox.objects.filter(pk=sandbox_id, state=State.RUNNING, driver_state=driver_state).update(
        state=State.STOPPED, reason="The sandbox ended by itself."
    )
