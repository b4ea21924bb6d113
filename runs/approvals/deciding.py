"""Take a decision: by who may, about what was shown, while it waits, once. Everything is checked at this moment."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from agents import acting, audit, halting
from agents.errors import Conflict, Invalid, LogosError, NotFound
from agents.models import Role, User
from runs import events
from runs.approvals import rules, signals, votes
from runs.approvals.kinds import KINDS
from runs.approvals.lists import addressed, counted, other_admin
from runs.approvals.rules import RuleWish
from runs.models import Approval, ApprovalState, Choice, Scope, Tier

NOTE_CHARS = 500
ANSWER_CHARS = 4_000
VIA_REVIEWER = "reviewer"

STATES = {
    Choice.ONCE: ApprovalState.ALLOWED,
    Choice.RUN: ApprovalState.ALLOWED,
    Choice.RULE: ApprovalState.ALLOWED,
    Choice.ANSWER: ApprovalState.ALLOWED,
    Choice.DENY: ApprovalState.DENIED,
}


def decide(
    actor: User,
    approval: Approval,
    choice: str,
    *,
    subject_hash: str = "",
    note: str = "",
    answer: str = "",
    rule: RuleWish | None = None,
    via: str = "",
    source: str = "",
) -> Approval:
    """Answer one request. ``rule`` goes with the choice "rule", ``answer`` with "answer"; ``via`` and ``source`` default to
    the door they came by.

    When several must allow it, it waits on until the last of them does, for the narrowest of their choices.

    Raises NotFound for who may not, Invalid for a choice, note or rule that cannot be, Conflict with the reason
    "changed", "expired", "already_decided", "withdrawn" or "halted", LogosError("own_request")."""
    is_alone = _require(actor, approval, choice)
    halting.require_decisions(agent_id=approval.agent_id or "", person_id=approval.asked_for_id)
    choices = KINDS[approval.kind].choices
    if choice not in choices or (choice == Choice.RUN and approval.run_id is None):
        raise Invalid(f"Choose {', '.join(choices[:-1])} or {choices[-1]}.", field="choice")
    note = _clean(note)
    answer = _said(choice, answer)
    if subject_hash and subject_hash != approval.subject_hash:
        raise Conflict("The question has changed; look at it again.", reason="changed")
    with transaction.atomic():
        now = timezone.now()
        waits = _waits(approval, now)
        if approval.needed > 1 and choice != Choice.DENY:
            counted = votes.add(actor, waits, choice, rule, via or acting.door() or "page")
            if counted is None:
                raise too_late(approval)
            choice, rule, missing = counted
            if missing:
                approval.refresh_from_db()
                return approval
        decided = waits.update(
            state=STATES[Choice(choice)],
            choice=choice,
            decided_by=actor,
            decided_at=now,
            decided_via=(via or acting.door() or "page")[:12],
            decided_from=(source or acting.address())[:45],
            decided_alone=is_alone,
            note=note,
            answer=answer,
        )
        if not decided:
            raise too_late(approval)
        approval.refresh_from_db()
        _follow(actor, approval, rule)
        signals.tell(approval)
    return approval


def decide_for_reviewer(approval: Approval, choice: str, reason: str) -> bool:
    """The reviewer's answer ("once" or "deny") to what one person alone would decide; False when it does not wait any
    more. Whether it may answer was judged before; a person who is first is first. Raises Halted."""
    halting.require_decisions(agent_id=approval.agent_id or "", person_id=approval.asked_for_id)
    if choice not in (Choice.ONCE, Choice.DENY):
        raise Invalid("The reviewer allows once or denies.", field="choice")
    with transaction.atomic():
        now = timezone.now()
        alone = _waits(approval, now).filter(tier=Tier.USER, needed=1, is_canary=False)
        if not alone.update(
            state=STATES[Choice(choice)],
            choice=choice,
            decided_at=now,
            decided_via=VIA_REVIEWER,
            note=reason[:NOTE_CHARS],
        ):
            return False
        approval.refresh_from_db()
        if then := KINDS[approval.kind].on_decided:
            then(approval)
        signals.tell(approval)
    return True


def _waits(approval: Approval, now: datetime) -> QuerySet[Approval]:
    """This request while it can be decided, as it was shown."""
    return Approval.objects.filter(
        pk=approval.pk,
        state=ApprovalState.PENDING,
        expires_at__gt=now,
        frozen_at=None,
        subject_hash=approval.subject_hash,
    )


def too_late(approval: Approval) -> LogosError:
    """Why this request cannot be decided any more, or not now."""
    now = Approval.objects.select_related("decided_by").filter(pk=approval.pk).first()
    if now is None:
        return NotFound("Approval")
    if now.subject_hash != approval.subject_hash:
        return Conflict("The question has changed; look at it again.", reason="changed")
    if now.state == ApprovalState.WITHDRAWN:
        return Conflict("The run ended before anybody decided.", reason="withdrawn")
    if now.state == ApprovalState.EXPIRED or (now.state == ApprovalState.PENDING and now.frozen_at is None):
        return Conflict(
            f"This expired at {_clock(now.expires_at)}: nobody decided in time, so it was denied.", reason="expired"
        )
    if now.state == ApprovalState.PENDING:
        return Conflict("This is frozen while work is halted.", reason="halted", action="Decide when it goes on.")
    nobody = "the reviewer" if now.decided_via == VIA_REVIEWER else "Logos"
    who = now.decided_by.display_name if now.decided_by else nobody
    at = f" at {_clock(now.decided_at)}" if now.decided_at else ""
    return Conflict(
        f"This was already decided by {who}{at}: {now.get_state_display().lower()}.", reason="already_decided"
    )


def _require(actor: User, approval: Approval, choice: str) -> bool:
    """Nothing for who may decide; True when it is their own request and there is nobody else."""
    if not actor.is_active or not Approval.objects.filter(addressed(actor), pk=approval.pk).exists():
        acting.remember_refusal("run.approve", Approval, approval.pk)
        raise NotFound("Approval")
    if choice != Choice.DENY and not Approval.objects.filter(counted(actor), pk=approval.pk).exists():
        raise LogosError(
            f"Members of {approval.team_name} decide this.",
            reason="own_request",
            action="Ask one of them; you may refuse it.",
        )
    is_of_operators = approval.tier == Tier.ADMIN
    is_of_team = bool(approval.team_name) and approval.needed == 1 and choice != Choice.DENY
    if approval.asked_for_id != actor.pk or not (is_of_operators or is_of_team):
        return False
    if actor.role != Role.ADMIN or other_admin(actor):
        raise LogosError(
            "Your own run asks for this, so somebody else decides it.",
            reason="own_request",
            action=f"Ask another member of {approval.team_name}."
            if approval.team_name
            else "Ask another admin, or an operator who manages the agent.",
        )
    return True


def _follow(actor: User, approval: Approval, wish: RuleWish | None) -> None:
    """What a decision brings about: a rule, what its kind does, a line in the audit. Of a canary nothing."""
    if approval.is_canary:
        return
    if approval.choice in (Choice.RUN, Choice.RULE):
        wish = RuleWish(Scope.RUN) if approval.choice == Choice.RUN else wish or RuleWish()
        approval.rule = rules.make(actor, approval, wish)
        approval.save(update_fields=["rule"])
    if then := KINDS[approval.kind].on_decided:
        then(approval)
    if approval.tier == Tier.ADMIN:
        facts: dict[str, Any] = {"approval": approval.pk, "asked": approval.kind, "choice": approval.choice}
        facts |= {"alone": True} if approval.decided_alone else {}
        audit.note("approval_decided", actor=actor, about=approval.agent, **facts)


def _clean(note: str) -> str:
    note = note.strip()
    if len(note) > NOTE_CHARS:
        raise Invalid(f"A note may have {NOTE_CHARS} characters.", field="note")
    if "\x00" in note:
        raise Invalid("The note holds a NUL byte.", field="note")
    return note


def _said(choice: str, answer: str) -> str:
    """What a person answers to a question. Never a secret: it would stand in the chat, the record and the model's context."""
    answer = answer.strip()
    if choice != Choice.ANSWER:
        if answer:
            raise Invalid("Only a question is answered with words.", field="answer")
        return ""
    if not answer:
        raise Invalid("Write an answer, or choose one.", field="answer", action="Or refuse to answer.")
    if len(answer) > ANSWER_CHARS:
        raise Invalid(f"An answer may have {ANSWER_CHARS:,} characters.", field="answer")
    if events.unbroken(answer) != answer:
        raise Invalid("The answer holds characters that cannot be stored.", field="answer")
    if events.plain(answer) != answer:
        raise Invalid(
            "A part of this looks like a secret, and an answer stands in the record.",
            field="answer",
            action="Set it as a secret of the agent instead.",
        )
    return answer


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%S} UTC" if at.date() == timezone.now().date() else f"{at:%Y-%m-%d %H:%M} UTC"
