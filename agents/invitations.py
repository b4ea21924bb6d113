"""One-time links: an invitation to join, and a link to set a password; handed over by the admin who made them.

Only a digest is kept. A link works once, until it expires, for nobody who is suspended meanwhile, and only while
whoever made it still manages people.
"""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from agents import audit, people
from agents.actions import ACTIONS
from agents.errors import Conflict, Invalid, NotFound
from agents.lookalikes import mixes_alphabets
from agents.models import OneTimeLink, Purpose, User

INVITED_FOR = timedelta(days=7)
PASSWORD_FOR = timedelta(hours=24)
TAKEN = "This name or address cannot be used here."


def invite(actor: User, role: str, email: str = "") -> tuple[OneTimeLink, str]:
    """A link by which somebody joins with ``role``, and its secret, which is shown once."""
    people.require(actor)
    people.known_role(role)
    email = email.strip()
    if email:
        _checked_email(email)
    with transaction.atomic():
        link, secret = OneTimeLink.make(INVITED_FOR, purpose=Purpose.INVITE, role=role, email=email, made_by=actor)
        audit.note("invited", actor=actor, about=link, role=role)
    return link, secret


def password_link(actor: User, person: User) -> tuple[OneTimeLink, str]:
    """A link by which ``person`` sets a new password; links made for them before stop working."""
    people.require(actor)
    if not person.is_active:
        raise Conflict(f"{person.username} is not active.", reason="not_active", action="Restore the account first.")
    with transaction.atomic():
        OneTimeLink.objects.filter(purpose=Purpose.PASSWORD, person=person, used_at=None).delete()
        link, secret = OneTimeLink.make(PASSWORD_FOR, purpose=Purpose.PASSWORD, person=person, made_by=actor)
        audit.note("password_link_made", actor=actor, person=person)
    return link, secret


def waiting(actor: User) -> QuerySet[OneTimeLink]:
    """Invitations nobody has used yet."""
    people.require(actor)
    return _open(Purpose.INVITE).select_related("made_by")


def withdraw(actor: User, link_id: int) -> None:
    """An invitation stops working; NotFound when it was used, has expired or is gone."""
    people.require(actor)
    with transaction.atomic():
        link = waiting(actor).filter(pk=link_id).first()
        if link is None:
            raise NotFound("This invitation")
        audit.note("invitation_withdrawn", actor=actor, about=link, role=link.role)
        link.delete()


# The same for a link that was guessed: it says nothing of any other.
OVER = "It was used already, or its time is over. Ask whoever gave it to you for a new one."


def opened(secret: str, purpose: str) -> OneTimeLink:
    """The link of this secret, while it works; NotFound otherwise."""
    link = _open(purpose).filter(digest=OneTimeLink.digest_of(secret)).select_related("person").first()
    if link is None or (link.person is not None and not link.person.is_active):
        raise NotFound("This link", action=OVER)
    return link


def join(secret: str, *, username: str, password: str, email: str = "", name: str = "") -> User:
    """The person the invitation makes. Invalid (with a field) for what cannot be used; then the link still works."""
    with transaction.atomic():
        link = _taken(opened(secret, Purpose.INVITE))
        # Whoever holds an invitation may be told which part to change; they learn nothing of whose it is.
        person = new_person(username=username, password=password, email=email or link.email, name=name, role=link.role)
        link.person = person
        link.save(update_fields=["person"])
        audit.note("joined", actor=person, person=person, role=link.role)
    return person


def set_password(secret: str, password: str) -> User:
    """The new password of the person the link is for; signs them out everywhere."""
    with transaction.atomic():
        link = _taken(opened(secret, Purpose.PASSWORD))
        person = link.person
        assert person is not None  # noqa: S101 (such a link has one)
        checked_password(password, person)
        person.set_password(password)
        person.save(update_fields=["password"])
        people.end_sessions(person)
    return person


def new_person(*, username: str, password: str, role: str, email: str = "", name: str = "", **more: object) -> User:
    """Store somebody new. Invalid for a name, address or password that cannot be used."""
    username, email, name = User.normalize_username(username.strip()), email.strip(), name.strip()
    try:
        User.username_validator(username)
    except ValidationError as error:
        raise Invalid("A user name has letters, digits and @ . + - _ only.", field="username") from error
    if not 0 < len(username) <= 150:
        raise Invalid("A user name has 1 to 150 characters.", field="username")
    if mixes_alphabets(username):
        raise Invalid("A user name has letters of one alphabet, so that none passes for another.", field="username")
    if email:
        _checked_email(email)
    name = people.clean_name(name)
    person = User(username=username, email=email, first_name=name, role=role, **more)
    checked_password(password, person)
    person.set_password(password)  # before anything is looked up: a taken name takes as long as a free one
    taken = {"username": Q(username__iexact=username) | Q(email__iexact=username)}
    if email:
        taken["email"] = Q(email__iexact=email) | Q(username__iexact=email)
    for field, rule in taken.items():
        if User.objects.filter(rule).exists():
            raise Invalid(TAKEN, field=field, reason="taken", action="Choose another one.")
    try:
        with transaction.atomic():
            person.save()
    except IntegrityError as error:
        raise Invalid(TAKEN, field="username", reason="taken", action="Choose another one.") from error
    return person


def checked_password(password: str, person: User) -> None:
    """Return if ``person`` may have this password; Invalid with every reason otherwise."""
    try:
        validate_password(password, person)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages), field="password") from error


def _checked_email(email: str) -> None:
    try:
        validate_email(email)
    except ValidationError as error:
        raise Invalid("This is not an e-mail address.", field="email") from error
    if len(email) > 254:
        raise Invalid("An address may have 254 characters.", field="email")


def _open(purpose: str) -> QuerySet[OneTimeLink]:
    """Links that work now. Whoever made one must still manage people: a link kept for later gives no role back."""
    return OneTimeLink.objects.filter(
        Q(made_by__keeper=None) | Q(made_by__keeper__is_active=True),
        purpose=purpose,
        used_at=None,
        expires_at__gt=timezone.now(),
        made_by__is_active=True,
        made_by__role__in=ACTIONS["user.manage"].roles,
    )


def _taken(link: OneTimeLink) -> OneTimeLink:
    """The link is ours; whoever comes a moment later finds it used."""
    if not _open(link.purpose).filter(pk=link.pk).update(used_at=timezone.now()):
        raise NotFound("This link", action=OVER)
    return link
