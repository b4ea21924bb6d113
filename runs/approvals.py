"""Ask a person about one dangerous command, take the decision once, let it expire denied."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from agents import permissions
from agents.errors import Conflict, Invalid
from agents.models import User
from runs import events
from runs.dispatch import announce
from runs.models import Approval, ApprovalState, Run
from runs.stamp import canonical

# A command can be made to look like a secret, or be endless: who decides must know that they do not see it all.
HIDDEN = "Not all of this command is shown: a part looks like a secret, or it is too long."

CHOICES = {"once": ApprovalState.ALLOWED, "deny": ApprovalState.DENIED}


def request(run_id: str, command: str, description: str, known: events.Known = frozenset()) -> Approval:
    """Write down what the runtime asks for, without its ``known`` secrets; it waits until decided or expired."""
    subject = hashlib.sha256(canonical({"run": run_id, "command": events.unbroken(command)})).hexdigest()
    kept = events.storable(command, known)
    if kept != events.unbroken(command):
        description = f"{HIDDEN} {description}"
    return Approval.objects.create(
        run_id=run_id,
        command=kept,
        description=events.plain(description, known)[:500],
        subject_hash=subject,
        expires_at=timezone.now() + timedelta(seconds=settings.LOGOS_APPROVAL_TIMEOUT_S),
    )


def shown(asked: Approval) -> dict[str, str]:
    """The data of an ``approval.requested`` event."""
    return {
        "id": asked.pk,
        "command": asked.command,
        "description": asked.description,
        "subject_hash": asked.subject_hash,
        "expires_at": asked.expires_at.isoformat(),
    }


def by_id(approval_id: str) -> Approval:
    """One question, whatever became of it."""
    return Approval.objects.get(pk=approval_id)


def waiting_for(user: User) -> QuerySet[Approval] | None:
    """The questions of this person's own runs that nobody has decided yet; None for who may not decide."""
    if not permissions.may(user, "run.approve"):
        return None
    waiting = Approval.objects.filter(state=ApprovalState.PENDING, expires_at__gt=timezone.now())
    return waiting.filter(run__conversation__owner=user)


def open_of(run_id: str) -> list[Approval]:
    """The run's questions that nobody has decided yet, oldest first."""
    return list(Approval.objects.filter(run_id=run_id, state=ApprovalState.PENDING).order_by("created_at"))


def is_open(run_id: str) -> bool:
    """Is there a question of this run that is undecided, or whose decision the runtime has not been told?"""
    return Approval.objects.filter(run_id=run_id, answered_at=None).exists()


def decide(actor: User, approval: Approval, choice: str, subject_hash: str = "") -> Approval:
    """Allow once or deny. Conflict when it was decided, has expired, or is not what was shown."""
    permissions.require(actor, "run.approve", approval.run)
    if choice not in CHOICES:
        raise Invalid("Choose once or deny.", field="choice")
    if subject_hash and subject_hash != approval.subject_hash:
        raise Conflict("The question has changed; look at it again.", reason="already_decided")
    decided = Approval.objects.filter(
        pk=approval.pk, state=ApprovalState.PENDING, expires_at__gt=timezone.now()
    ).update(state=CHOICES[choice], decided_by=actor, decided_at=timezone.now())
    if not decided:
        raise Conflict("This was already decided or has expired.", reason="already_decided")
    approval.refresh_from_db()
    announce(approval.run_id)
    return approval


def expire(now_pending: QuerySet[Approval]) -> int:
    """Deny what nobody decided in time; returns how many."""
    return now_pending.filter(state=ApprovalState.PENDING, expires_at__lte=timezone.now()).update(
        state=ApprovalState.EXPIRED, decided_at=timezone.now()
    )


def withdraw(run: Run) -> None:
    """The run ended: what it still asked can no longer be allowed."""
    run.approvals.filter(state=ApprovalState.PENDING).update(state=ApprovalState.EXPIRED, decided_at=timezone.now())
