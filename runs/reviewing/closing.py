"""Take what the reviewer said: decide with it if it counts and nobody was first, else leave the request to a person."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from agents import audit, halting
from agents.errors import LogosError
from runs import approvals
from runs.approvals.asking import HIDDEN
from runs.models import Approval, ApprovalState, Choice, EngineBeat, ReviewerOpinion, ReviewOutcome, Run
from runs.reviewing import limits, opening, reversing
from runs.reviewing.answers import shown
from runs.reviewing.limits import Answer
from sandboxes.claimants import is_dead

# A row whose engine is gone, and that nobody closed, is closed this long after its deadline.
LATE_S = 10
BATCH = 200
CHOICES = {ReviewOutcome.ALLOWED: Choice.ONCE, ReviewOutcome.DENIED: Choice.DENY}
EVENTS = {ReviewOutcome.ALLOWED: "reviewer_allowed", ReviewOutcome.DENIED: "reviewer_denied"}
SILENT = "The reviewer gave no reason."


@dataclass(frozen=True, slots=True)
class Said:
    """What came of asking: an answer, or ``why`` there is none with a sentence of Logos in ``detail``."""

    answer: Answer | None = None
    why: str = ""
    detail: str = ""
    call_id: str = ""
    cost: Decimal | None = None
    latency_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Closed:
    """What a run's timeline is told; nothing when the reviewer decided, because the decision tells."""

    is_left: bool
    data: dict[str, Any] = field(default_factory=dict)


def close(approval_id: str, said: Said) -> Closed:
    """Once: who comes second finds it closed."""
    with transaction.atomic():
        row = (
            ReviewerOpinion.objects.select_for_update(of=("self",))
            .select_related("approval__agent", "approval__asked_for")
            .filter(pk=approval_id, outcome=ReviewOutcome.ASKING)
            .first()
        )
        if row is None:
            return Closed(is_left=False)
        _note(row, said)
        row.outcome, row.why = _outcome(row, said)
        if row.outcome in CHOICES and (late := _decide(row)):
            row.outcome, row.why = ReviewOutcome.LEFT, late
        row.save()
    return Closed(row.outcome == ReviewOutcome.LEFT, told(row))


def told(row: ReviewerOpinion) -> dict[str, Any]:
    """The data of an ``approval.reviewed`` event."""
    confidence = None if row.confidence is None else float(row.confidence)
    more = {"verdict": row.verdict, "confidence": confidence, "reason": row.reason}
    return {
        "id": row.approval_id,
        "why": row.why,
        **{name: value for name, value in more.items() if value not in (None, "")},
    }


def told_of(run_id: str) -> list[dict[str, Any]]:
    """The same for each request of this run that waits for a person alone, because the reviewer left it."""
    rows = ReviewerOpinion.objects.filter(approval__run=run_id, approval__state=ApprovalState.PENDING)
    return [told(row) for row in rows.filter(outcome=ReviewOutcome.LEFT).order_by("created_at")]


def settle(owner: str) -> int:
    """Close what engines that are gone were asking: their requests are simply a person's. For the engine's beat."""
    asking = ReviewerOpinion.objects.filter(outcome=ReviewOutcome.ASKING).exclude(holder="", asked_at=None)
    alive = set(EngineBeat.objects.values_list("owner", flat=True))
    late = timezone.now() - timedelta(seconds=LATE_S)
    closed = 0
    for pk, holder, deadline in asking.order_by("pk").values_list("pk", "holder", "deadline_at")[:BATCH]:
        is_gone = holder != owner and (holder not in alive or is_dead(holder))
        if is_gone or (deadline is not None and deadline < late):
            closed += close(pk, Said(why="interrupted")).is_left
    return closed


def _note(row: ReviewerOpinion, said: Said) -> None:
    row.answered_at, row.call_id, row.cost, row.latency_ms = timezone.now(), said.call_id, said.cost, said.latency_ms
    row.reason = shown(said.detail)
    if said.answer is not None:
        row.verdict, row.confidence = said.answer.verdict, _confidence(said.answer.confidence)
        row.reason = shown(said.answer.reason)


def _outcome(row: ReviewerOpinion, said: Said) -> tuple[str, str]:
    """What it comes to, whatever has become of the request meanwhile."""
    asked = row.approval
    if said.answer is None:
        return ReviewOutcome.LEFT, _overtaken(asked) or said.why or "error"
    outcome, why = limits.weighed(said.answer, saw_all=not asked.title.startswith(HIDDEN))
    if overtaken := _overtaken(asked):
        return ReviewOutcome.LEFT, overtaken
    if outcome == ReviewOutcome.LEFT:
        return outcome, why
    # Switched off, or called wrong about the like, while it thought: that counts.
    site = opening.is_on(asked.agent_id)
    if site is None or limits.outside(asked, next(iter(limits.ATTENDED)), site.most):
        return ReviewOutcome.LEFT, "off"
    if reversing.covers(asked):
        return ReviewOutcome.LEFT, "reversed"
    return outcome, ""


def _decide(row: ReviewerOpinion) -> str:
    """Why it could not decide any more; "" when it has."""
    asked = row.approval
    if Run.objects.filter(Q(pk=asked.run_id) & ~Q(cancel_requested_at=None)).exists():
        return "ended"
    try:
        if not approvals.decide_for_reviewer(asked, CHOICES[ReviewOutcome(row.outcome)], row.reason or SILENT):
            return _overtaken(asked) or "ended"
    except LogosError as error:
        if error.reason != "halted":
            raise
        return "halted"
    audit.note(
        EVENTS[ReviewOutcome(row.outcome)], person=asked.asked_for, about=asked.agent, approval=asked.pk,
        confidence=str(row.confidence),
    )  # fmt: skip
    return ""


def _overtaken(asked: Approval) -> str:
    """What has become of the request meanwhile; "" while it waits."""
    now = Approval.objects.filter(pk=asked.pk).first()
    if now is None or now.state in (ApprovalState.EXPIRED, ApprovalState.WITHDRAWN):
        return "ended"
    if now.frozen_at is not None or halting.is_halted(agent_id=now.agent_id or "", person_id=now.asked_for_id):
        return "halted"
    if now.state == ApprovalState.PENDING:
        return "" if now.expires_at > timezone.now() else "ended"
    return "person"


def _confidence(confidence: Decimal) -> Decimal:
    """Never above what it said: 0.7499999999 is not 0.75."""
    return confidence.quantize(Decimal("0.000001"), ROUND_DOWN)
