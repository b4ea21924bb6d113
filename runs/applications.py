"""Applications for accounts as approvals: every one that waits is put to who manages people, and answered once.

The queue of people is the truth. Approvals are made of it by the engine's beat and not by the page where anybody asks:
that page does the same work whether a name is taken or not, so that nobody learns which names there are.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from agents import registration
from agents.models import User
from runs import approvals
from runs.approvals import signals
from runs.models import Approval, ApprovalKind, ApprovalState, Choice, Tier

FORGOTTEN = "An account"


def connect() -> None:
    """Join the kinds, and listen to the queue of people."""
    approvals.register(ApprovalKind.REGISTRATION, on_decided=on_decided)
    registration.answered.connect(on_answered)


def of_person(person_id: int | None) -> QuerySet[Approval]:
    """The requests about one person."""
    return Approval.objects.filter(kind=ApprovalKind.REGISTRATION, subject__person=person_id)


def settle() -> int:
    """Put to people who waits and was not put yet; how many. Two queries when there is nothing to do."""
    waiting = {person.pk: person for person in registration.waiting()}
    put = Approval.objects.filter(kind=ApprovalKind.REGISTRATION, state=ApprovalState.PENDING)
    known = {approval.subject.get("person"): approval for approval in put}
    for person_id, approval in known.items():
        if person_id not in waiting:
            _close(approval, User.objects.filter(pk=person_id).first(), None)
    return sum(_put(pk) for pk in waiting.keys() - known.keys())


@transaction.atomic
def _put(person_id: int) -> bool:
    """The person's row is locked, so that two engines put nobody twice."""
    person = registration.waiting().select_for_update().filter(pk=person_id).first()
    if person is None or of_person(person_id).filter(state=ApprovalState.PENDING).exists():
        return False
    subject = {"person": person.pk, "username": person.username, "name": person.first_name, "email": person.email}
    approvals.ask(
        ApprovalKind.REGISTRATION,
        subject=subject,
        title=f"An account for {person.username}",
        purpose=person.application,
        tier=Tier.ADMIN,
    )
    return True


def on_decided(approval: Approval) -> None:
    """Let the person in, or refuse them. Raises Conflict when the queue has answered already."""
    actor, person = approval.decided_by, User.objects.filter(pk=approval.subject.get("person")).first()
    if actor is None or person is None:
        return
    if approval.state == ApprovalState.ALLOWED:
        registration.approve(actor, person, approval.note)
    elif approval.state == ApprovalState.DENIED:
        registration.refuse(actor, person, approval.note)
    _forget(Approval.objects.filter(pk=approval.pk))


def on_answered(person: User, actor: User, **rest: Any) -> None:
    """Receiver: somebody answered in the queue of people."""
    for approval in of_person(person.pk).filter(state=ApprovalState.PENDING):
        _close(approval, person, actor)


def _close(approval: Approval, person: User | None, actor: User | None) -> None:
    let_in = person is not None and person.is_active
    state, choice = (ApprovalState.ALLOWED, Choice.ONCE) if let_in else (ApprovalState.DENIED, Choice.DENY)
    rows = Approval.objects.filter(pk=approval.pk, state=ApprovalState.PENDING)
    facts = {"decided_by": actor, "decided_at": timezone.now(), "decided_via": "people"}
    if rows.update(state=state, choice=choice, **facts):
        _forget(Approval.objects.filter(pk=approval.pk))
        approval.refresh_from_db()
        signals.tell(approval)


def _forget(rows: QuerySet[Approval]) -> None:
    """An application is for the decision alone: what the person wrote goes with it. The hash stays."""
    for row in rows:
        rows.filter(pk=row.pk).update(subject={"person": row.subject.get("person")}, title=FORGOTTEN, purpose="")
