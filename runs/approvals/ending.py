"""How a request ends that nobody decided: its time is over, or its run is; and how its time stands still."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from runs.approvals import rules, signals
from runs.approvals.kinds import KINDS
from runs.models import Approval, ApprovalState, Run

BATCH = 200


def expire(rows: QuerySet[Approval]) -> int:
    """Deny what nobody decided in time; returns how many."""
    due = rows.filter(state=ApprovalState.PENDING, expires_at__lte=timezone.now(), frozen_at=None)
    return _end(due, ApprovalState.EXPIRED)


def settle() -> int:
    """The same for all there are, in parts, and what has waited long enough goes to operators; for the engine's beat."""
    escalate()
    return expire(Approval.objects.all())


def escalate() -> int:
    """What nobody decided by the time it says may be decided by operators, or the group it names, too; how many."""
    waits = Approval.objects.filter(state=ApprovalState.PENDING, escalated_at=None, frozen_at=None)
    found = 0
    for row in waits.filter(escalates_at__lte=timezone.now(), agent__isnull=False).order_by("pk")[:BATCH]:
        if waits.filter(pk=row.pk).update(escalated_at=timezone.now()):
            row.refresh_from_db()
            signals.tell(row)
            found += 1
    return found


def withdraw(run: Run) -> int:
    """The run ended: what it still asked can no longer be allowed, and rules made for it end."""
    rules.end_with(run)
    return _end(run.approvals.filter(state=ApprovalState.PENDING), ApprovalState.WITHDRAWN)


def freeze(rows: QuerySet[Approval]) -> int:
    """The clock of these stands still, and nobody can decide them, until ``thaw``."""
    return rows.filter(state=ApprovalState.PENDING, frozen_at=None).update(frozen_at=timezone.now())


def thaw(rows: QuerySet[Approval]) -> int:
    """They wait on, and get back the time that they were frozen."""
    now, thawed = timezone.now(), 0
    for row in rows.filter(frozen_at__isnull=False):
        if row.frozen_at is not None:
            kept = Approval.objects.filter(pk=row.pk, frozen_at=row.frozen_at)
            lost = now - row.frozen_at
            later = {"expires_at": F("expires_at") + lost, "escalates_at": F("escalates_at") + lost}
            thawed += kept.update(frozen_at=None, **later)
    return thawed


def _end(rows: QuerySet[Approval], state: str) -> int:
    ended = 0
    for row in rows.order_by("pk")[:BATCH]:
        with transaction.atomic():
            mine = rows.filter(pk=row.pk).order_by()
            if not mine.update(state=state, decided_at=timezone.now()):
                continue
            row.refresh_from_db()
            if then := KINDS[row.kind].on_decided:
                then(row)
            signals.tell(row)
            ended += 1
    return ended
