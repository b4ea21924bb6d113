"""Asking for an account: one generic answer whoever asks, a queue that admins decide, and what becomes of the refused.

Whether a name or an address is taken is never told: the same work is done and the same sentence said.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.dispatch import Signal
from django.utils import timezone

from agents import audit, invitations, people, permissions
from agents.errors import Conflict, Invalid, NotFound
from agents.models import User

# Sent inside the transaction, with ``person`` and ``actor``: an application was answered.
answered = Signal()

# More than anybody reads: a flood from many addresses ends here.
MOST_WAITING = 200
MAX_NOTE = 500


def is_open() -> bool:
    """May anybody ask for an account?"""
    return bool(settings.LOGOS_REGISTRATION != "closed")


def needs_approval() -> bool:
    """Do people wait for an admin, rather than being let in at once?"""
    return bool(settings.LOGOS_REGISTRATION == "approval")


def apply(*, username: str, password: str, email: str = "", name: str = "", note: str = "") -> None:
    """Somebody asks for an account. Says nothing about whether it came to one: a taken name leaves no trace.

    Raises Invalid for what could be nobody's name, address or password, Conflict when too many wait."""
    if not is_open():
        raise NotFound("This page")
    note = note.strip()
    if len(note) > MAX_NOTE:
        raise Invalid(f"What you write may have {MAX_NOTE} characters.", field="note")
    sweep()
    waits = needs_approval()
    if waits and waiting().count() >= MOST_WAITING:
        raise Conflict("Too many people wait for an answer already.", action="Come back in some days.")
    more = {"applied_at": timezone.now(), "is_active": False} if waits else {}
    try:
        invitations.new_person(
            username=username,
            password=password,
            email=email,
            name=name,
            role=settings.LOGOS_REGISTRATION_ROLE,
            application=note,
            **more,
        )
    except Invalid as error:
        if error.reason != "taken":
            raise


def queue(actor: User) -> QuerySet[User]:
    """Who waits for an answer, the longest first."""
    people.require(actor)
    return waiting().order_by("applied_at", "pk")


def waiting_for(user: User) -> QuerySet[User] | None:
    """Who waits for ``user`` to decide, for the badge; None for whoever decides nothing."""
    return waiting() if permissions.may(user, "user.manage") else None


def approve(actor: User, person: User, note: str = "") -> None:
    """``person`` may sign in from now on. Conflict when somebody decided already."""
    with transaction.atomic():
        now = _decided(actor, person, note)
        now.is_active, now.applied_at, now.application = True, None, ""
        now.save(update_fields=["is_active", "applied_at", "application"])
        audit.note("application_approved", actor=actor, person=now, about=now, note=note)
        answered.send(sender=User, person=now, actor=actor)


def refuse(actor: User, person: User, note: str = "") -> None:
    """``person`` is not let in; the application goes after ``LOGOS_REFUSED_DAYS``."""
    with transaction.atomic():
        now = _decided(actor, person, note)
        now.refused_at, now.application = timezone.now(), ""
        now.save(update_fields=["refused_at", "application"])
        audit.note("application_refused", actor=actor, person=now, about=now, note=note)
        answered.send(sender=User, person=now, actor=actor)


def sweep() -> int:
    """Delete refused applications that are old enough, their history included; how many."""
    before = timezone.now() - timedelta(days=settings.LOGOS_REFUSED_DAYS)
    old = User.objects.filter(is_active=False, refused_at__lt=before)
    gone = 0
    for person in old[:100]:
        with transaction.atomic():
            pk = person.pk
            person.delete()
            User.history.filter(id=pk).delete()
        gone += 1
    return gone


def waiting() -> QuerySet[User]:
    """Who waits for an answer."""
    return User.objects.filter(is_active=False, refused_at=None, erased_at=None, applied_at__isnull=False)


def _decided(actor: User, person: User, note: str) -> User:
    """The applicant as they are now, locked, if nobody has decided yet."""
    people.require(actor)
    if len(note) > MAX_NOTE:
        raise Invalid(f"A note may have {MAX_NOTE} characters.", field="note")
    now = User.objects.select_for_update().filter(pk=person.pk).first()
    if now is None:
        raise NotFound("This application")
    if now.state != "waiting":
        raise Conflict("This application is decided already.", reason="already_decided")
    return now
