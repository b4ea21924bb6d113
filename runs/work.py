"""What the engine needs to know of a run, read in one piece, and the small changes it makes on the way.

Sync functions with plain values; the engine calls each in one hop.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import F, Q
from django.utils import timezone

from agents import agent_secrets, routes, secrets
from agents.models import ModelRoute, User
from runs import approvals, held, history
from runs.budgets.checking import prices_of
from runs.budgets.limits import Spender
from runs.models import ACTIVE, Approval, ApprovalState, EngineBeat, Message, Run, Status
from sandboxes.claimants import is_dead
from sandboxes.inference.calls import RouteTarget

LEASE_S = 15
BEAT_S = 5

REHEARSAL_PATIENCE_S = 10

# In place of an engine's name: nobody's, to be taken over like a dead one's.
GIVEN_BACK = "given back"

# How much of the conversation travels with a run; the runtime compresses on its own beyond that.
HISTORY_MESSAGES = 60


@dataclass(frozen=True, slots=True)
class Work:
    """One claimed run, as values."""

    run_id: str
    agent_id: str
    conversation_id: str
    actor: str
    actor_id: int | None
    spender: Spender
    text: str
    history: tuple[history.Turn, ...]
    target: RouteTarget
    stamp: dict[str, Any]
    fingerprint: str
    attempt: int
    lane: int | None
    runtime_run_id: str
    runtime_session_id: str
    cancel_requested: bool
    age_s: float = field(default=0.0)
    known_values: frozenset[str] = field(repr=False, default=frozenset())


def claim_queued(owner: str, limit: int) -> list[str]:
    """Take up to ``limit`` queued runs, oldest first. Two engines never get the same one."""
    ready = Run.objects.filter(status=Status.QUEUED, lease_owner="").exclude(_held()).order_by("created_at")
    waiting = ready.values_list("pk", flat=True)[:limit]
    taken = [run_id for run_id in waiting if _claim(run_id, owner, Q(status=Status.QUEUED, lease_owner=""))]
    # A halt that was committed since we asked counts: what has not begun waits for its end.
    late = set(Run.objects.filter(_held(), pk__in=taken).values_list("pk", flat=True)) if taken else set()
    for run_id in late:
        give_back(owner, run_id)
    return [run_id for run_id in taken if run_id not in late]


def claim_abandoned(owner: str) -> list[str]:
    """Take the unfinished runs whose engine is gone: its lease ran out, or its process on this host is dead."""
    rows = Run.objects.filter(status__in=ACTIVE).exclude(lease_owner="").exclude(lease_owner=owner)
    rows = rows.exclude(Q(status=Status.QUEUED) & _held())
    taken = []
    for run_id, holder, until in rows.values_list("pk", "lease_owner", "lease_until"):
        if (until is None or until < timezone.now() or is_dead(holder)) and _claim(
            run_id, owner, Q(lease_owner=holder, status__in=ACTIVE)
        ):
            taken.append(run_id)
    return taken


def _held() -> Q:
    """What waits because it is stopped; whoever asked for it may still take it back."""
    return held.held_now() & Q(cancel_requested_at=None)


def _claim(run_id: str, owner: str, condition: Q) -> bool:
    return bool(
        Run.objects.filter(condition, pk=run_id).update(
            lease_owner=owner, lease_until=timezone.now() + timedelta(seconds=LEASE_S), attempt=F("attempt") + 1
        )
    )


def give_back(owner: str, run_id: str) -> None:
    """This engine claimed the run and cannot carry it out now: it, or another, may claim it again at once."""
    mine = Run.objects.filter(pk=run_id, lease_owner=owner, status__in=ACTIVE)
    if not mine.filter(status=Status.QUEUED).update(lease_owner="", lease_until=None):
        mine.update(lease_owner=GIVEN_BACK, lease_until=timezone.now() - timedelta(seconds=1))


def beat(owner: str) -> None:
    """Renew this engine's leases and say that it lives."""
    until = timezone.now() + timedelta(seconds=LEASE_S)
    Run.objects.filter(lease_owner=owner, status__in=ACTIVE).update(lease_until=until)
    EngineBeat.objects.update_or_create(owner=owner, defaults={"seen_at": timezone.now()})
    EngineBeat.objects.filter(seen_at__lt=timezone.now() - timedelta(hours=1)).delete()


def rest(owner: str) -> None:
    """This engine stops in good order: its runs may be taken over at once."""
    Run.objects.filter(lease_owner=owner, status__in=ACTIVE).update(lease_until=timezone.now() - timedelta(seconds=1))
    EngineBeat.objects.filter(owner=owner).delete()


def load(run_id: str) -> Work:
    """Everything the run needs, the provider's key and the agent's secrets opened."""
    run = Run.objects.select_related("agent__route__provider", "message", "actor").get(pk=run_id)
    route = _route(run)
    before = Message.objects.filter(conversation_id=run.conversation_id, pk__lt=run.message_id).order_by("-pk")
    earlier = before.select_related("run", "answered_run")[:HISTORY_MESSAGES]
    return Work(
        run_id=run.pk,
        agent_id=run.agent_id,
        conversation_id=run.conversation_id,
        actor=run.actor.username if run.actor else "",
        spender=Spender(run.pk, run.conversation_id, run.agent_id, run.actor_id),
        actor_id=run.actor_id,
        text=run.message.text,
        history=history.turns(reversed(earlier)),
        target=target_of(route),
        stamp=run.stamp,
        fingerprint=run.fingerprint,
        attempt=run.attempt,
        lane=run.lane,
        runtime_run_id=run.runtime_run_id,
        runtime_session_id=run.runtime_session_id,
        cancel_requested=run.cancel_requested_at is not None,
        age_s=(timezone.now() - run.created_at).total_seconds(),
        known_values=agent_secrets.known_values(run.agent),
    )


def _route(run: Run) -> ModelRoute:
    frozen = run.stamp.get("model", {}).get("route_id", "")
    route = ModelRoute.objects.select_related("provider").filter(pk=frozen).first()
    return route or routes.route_of(run.agent)


def target_of(route: ModelRoute) -> RouteTarget:
    """Where calls on this route go, and where when its provider fails, as a value that holds the opened keys."""
    others = [each for each in routes.chain(route) if each.wire == route.wire]
    return replace(_target(route), fallbacks=tuple(map(_target, others)))


def stand_in(route_id: str) -> RouteTarget | None:
    """Where calls on this route go, without others in its place; None when it is gone or costs something now."""
    route = ModelRoute.objects.select_related("provider").filter(pk=route_id).first()
    return _target(route) if route is not None and prices_of(route) == (0, 0) else None


def alone(route_id: str) -> RouteTarget | None:
    """Where calls on this route go, without others in its place; None when it is gone."""
    route = ModelRoute.objects.select_related("provider").filter(pk=route_id).first()
    return _target(route) if route is not None else None


def _target(route: ModelRoute) -> RouteTarget:
    patience_s = settings.LOGOS_FIRST_BYTE_TIMEOUT_S
    return RouteTarget(
        route_id=route.pk,
        kind=route.provider.kind,
        model=route.model,
        base_url=route.provider.base_url,
        api_key=secrets.unseal(route.provider.sealed_key),
        context_length=route.context_length,
        price_input=route.price_input,
        price_output=route.price_output,
        price_cached=route.price_cached,
        # The rehearsal model answers at once or hangs because it was asked to.
        first_byte_timeout_s=min(REHEARSAL_PATIENCE_S, patience_s) if route.is_rehearsal else patience_s,
        idle_timeout_s=settings.LOGOS_IDLE_TIMEOUT_S,
    )


def enter(run_id: str, status: str, **fields: Any) -> bool:
    """Move an unfinished run to ``status`` and note ``fields``; False when it has ended meanwhile."""
    return bool(Run.objects.filter(pk=run_id, status__in=ACTIVE).update(status=status, **fields))


def stop_all_of(agent_id: str, by: User | None = None) -> list[str]:
    """The agent was archived or deleted: what it still does is to stop. The runs that had not been asked yet."""
    rows = Run.objects.filter(agent_id=agent_id, status__in=ACTIVE, cancel_requested_at=None)
    found = list(rows.values_list("pk", flat=True))
    rows.update(cancel_requested_at=timezone.now(), cancelled_by=by)
    return found


class Wishes(NamedTuple):
    """What people want of a running run: to stop it; the decisions the runtime was not told, by id; and what else
    was asked for it that its timeline has not been told of to the end."""

    cancel: bool
    decided: list[str]
    others: list[str]


def wishes(run_id: str) -> Wishes:
    """Read now."""
    cancel = Run.objects.filter(pk=run_id, cancel_requested_at__isnull=False).exists()
    approvals.expire(Approval.objects.filter(run_id=run_id))
    untold = Approval.objects.filter(run_id=run_id, answered_at=None).order_by("created_at", "pk")
    found = list(untold.values_list("pk", "by_runtime", "state"))
    decided = [pk for pk, by_runtime, state in found if by_runtime and state != ApprovalState.PENDING]
    return Wishes(cancel, decided, [pk for pk, by_runtime, _ in found if not by_runtime])


def answered(approval_id: str) -> Approval | None:
    """The decision that the runtime is being told; None for all but the one caller who tells it."""
    mine = Approval.objects.filter(pk=approval_id, answered_at=None).update(answered_at=timezone.now())
    return approvals.by_id(approval_id) if mine else None


def with_news(run_ids: list[str]) -> list[str]:
    """Those of the running runs that somebody wants something of: two queries for all of them."""
    cancelled = Run.objects.filter(pk__in=run_ids, cancel_requested_at__isnull=False).values_list("pk", flat=True)
    over = Q(state=ApprovalState.PENDING, expires_at__lte=timezone.now(), frozen_at=None)
    decided = Approval.objects.filter(
        over | ~Q(state=ApprovalState.PENDING), run_id__in=run_ids, answered_at=None
    ).values_list("run_id", flat=True)
    return [*cancelled, *decided]
