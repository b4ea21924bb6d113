"""Say that the reviewer was wrong: from then on people alone are asked about the like, until somebody undoes that."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from agents import acting, audit, permissions
from agents.errors import Conflict, Invalid, NotFound
from agents.models import Agent, User
from runs import approvals
from runs.approvals.kinds import KINDS
from runs.models import Approval, ReviewerOpinion, ReviewerReversal, ReviewOutcome

NOTE_CHARS = 500
DECIDED = (ReviewOutcome.ALLOWED, ReviewOutcome.DENIED)


def living(rows: QuerySet[ReviewerReversal] | None = None) -> QuerySet[ReviewerReversal]:
    """Those that hold."""
    return (ReviewerReversal.objects.all() if rows is None else rows).filter(undone_at=None)


def covers(asked: Approval) -> bool:
    """Is the like of this asked of people only?"""
    return living().filter(agent=asked.agent_id, kind=asked.kind, key=asked.key).exists()


def seen_by(user: User) -> QuerySet[ReviewerReversal]:
    """Those this person may read: of agents whose reviewer they switch, and their own."""
    managed = permissions.visible(user, Agent.objects.order_by(), "reviewer.switch").values("pk")
    return ReviewerReversal.objects.filter(Q(agent__in=managed) | Q(made_by=user)).order_by("-created_at", "-pk")


def may_reverse(user: User, opinion: ReviewerOpinion) -> bool:
    """Whoever may switch the agent's reviewer, and the person whose run it was."""
    agent = opinion.approval.agent
    if agent is None or opinion.outcome not in DECIDED or opinion.reversed_at is not None:
        return False
    own = opinion.approval.asked_for_id == user.pk and permissions.may(user, "run.approve")
    return own or bool(permissions.allows(user, "reviewer.switch", agent))


def reverse(actor: User, approval_id: str, note: str = "") -> ReviewerReversal:
    """The reviewer should not have answered so. Raises NotFound, Invalid, Conflict."""
    note = _clean(note)
    rows = ReviewerOpinion.objects.filter(approval__in=approvals.seen_by(actor).order_by().values("pk"))
    opinion = rows.select_related("approval__agent").filter(pk=approval_id).first()
    if opinion is None:
        acting.remember_refusal("run.approve", Approval, approval_id)
        raise NotFound("Opinion")
    asked = opinion.approval
    if opinion.outcome not in DECIDED or asked.agent is None:
        raise Conflict("The reviewer decided nothing here.", reason="not_decided")
    if opinion.reversed_at is None and not may_reverse(actor, opinion):
        acting.remember_refusal("reviewer.switch", Agent, asked.agent_id or "")
        raise NotFound("Opinion")
    try:
        with transaction.atomic():
            made = ReviewerReversal.objects.create(
                agent=asked.agent,
                kind=asked.kind,
                key=asked.key,
                words=KINDS[asked.kind].covered(asked.subject)[:500],
                note=note,
                approval=asked,
                made_by=actor,
            )
            ReviewerOpinion.objects.filter(pk=opinion.pk).update(reversed_at=timezone.now(), reversed_by=actor)
            audit.note("reviewer_reversed", actor=actor, about=asked.agent, approval=asked.pk, outcome=opinion.outcome)
    except IntegrityError as error:
        raise Conflict(
            "The like of this is asked of people only already.",
            reason="already_reversed",
            action="Nothing has to be done.",
        ) from error
    return made


@transaction.atomic
def undo(actor: User, reversal_id: int) -> ReviewerReversal:
    """The reviewer may be asked about the like again. Raises NotFound, Conflict when that was undone already."""
    row = seen_by(actor).select_related("agent").filter(pk=reversal_id).first()
    if row is None or not may_undo(actor, row):
        acting.remember_refusal("reviewer.switch", ReviewerReversal, str(reversal_id))
        raise NotFound("Reversal")
    if not living(ReviewerReversal.objects.filter(pk=row.pk)).update(undone_at=timezone.now(), undone_by=actor):
        raise Conflict("This was undone already.", reason="already_finished")
    ReviewerOpinion.objects.filter(pk=row.approval_id).update(reversed_at=None, reversed_by=None)
    audit.note("reviewer_reversal_undone", actor=actor, about=row.agent, approval=row.approval_id or "")
    row.refresh_from_db()
    return row


def may_undo(user: User, row: ReviewerReversal) -> bool:
    """Whoever made it, and whoever may switch the agent's reviewer."""
    return row.made_by_id == user.pk or bool(permissions.allows(user, "reviewer.switch", row.agent))


def _clean(note: str) -> str:
    note = note.strip()
    if len(note) > NOTE_CHARS:
        raise Invalid(f"A note may have {NOTE_CHARS} characters.", field="note")
    if "\x00" in note:
        raise Invalid("The note holds a NUL byte.", field="note")
    return note
