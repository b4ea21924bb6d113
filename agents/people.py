"""People as admins manage them: role, suspension, limit, sign-out; the rules that hold for every door.

Nobody changes their own role or suspends themselves, and the last admin stays one (``User.save`` keeps that, under a
lock, whoever asks). ``agents.watching`` notes changed roles and suspensions for every door. What changes here counts from the person's next request on.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.db import transaction
from django.db.models import Count, Exists, IntegerField, Max, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from agents import audit, permissions, second_factor
from agents.errors import Conflict, Invalid, NotFound
from agents.invisible import first_hidden
from agents.models import Agent, ApiToken, Kind, Role, User
from agents.models.people import NO_LIMIT, active_admins
from agents.numbers import whole

STATES = ("active", "suspended", "waiting", "refused", "erased")
MOST_AGENTS = 10_000
MAX_NAME = 150

_IN_STATE = {
    "active": Q(is_active=True),
    "suspended": Q(is_active=False, applied_at=None, erased_at=None),
    "waiting": Q(is_active=False, refused_at=None, erased_at=None) & ~Q(applied_at=None),
    "refused": Q(is_active=False, erased_at=None) & ~Q(refused_at=None),
    "erased": ~Q(erased_at=None),
}


def require(actor: User) -> None:
    """Return if ``actor`` manages people; to everybody else these pages are not there."""
    if not permissions.may(actor, "user.manage"):
        raise NotFound()


def listed() -> QuerySet[User]:
    """Everybody who signs in (programs have pages of their own), with what a list says of them, in one query: ``seen_in_browser``, ``seen_by_token``,
    ``has_factor``, ``agent_count``."""
    sessions = UserSession.objects.filter(user=OuterRef("pk")).order_by().values("user")
    tokens = ApiToken.objects.filter(user=OuterRef("pk")).order_by().values("user")
    owned = Agent.objects.alive().filter(owner=OuterRef("pk")).order_by().values("owner")
    factors = Authenticator.objects.filter(user=OuterRef("pk"), type__in=second_factor.FACTORS)
    return User.objects.filter(kind=Kind.PERSON).annotate(
        seen_in_browser=Subquery(sessions.annotate(latest=Max("last_seen_at")).values("latest")),
        seen_by_token=Subquery(tokens.annotate(latest=Max("last_used_at")).values("latest")),
        has_factor=Exists(factors),
        agent_count=Coalesce(
            Subquery(owned.annotate(count=Count("pk")).values("count"), output_field=IntegerField()), 0
        ),
    )


def last_seen(person: Any) -> Any:
    """The latest sign of life of somebody from ``listed``; None when there never was one."""
    return max(filter(None, (person.seen_in_browser, person.seen_by_token, person.last_login)), default=None)


def narrowed(
    rows: QuerySet[User], *, text: str = "", role: str = "", state: str = "", group: str = ""
) -> QuerySet[User]:
    """Those who match all of it: every word of ``text`` in a name or the e-mail. Unknown values are Invalid."""
    for word in text.split():
        rows = rows.filter(
            Q(username__icontains=word)
            | Q(first_name__icontains=word)
            | Q(last_name__icontains=word)
            | Q(email__icontains=word)
        )
    if role:
        rows = rows.filter(role=known_role(role))
    if state:
        if state not in STATES:
            raise Invalid("There is no such state.", field="state", action=f"There are: {', '.join(STATES)}.")
        rows = rows.filter(_IN_STATE[state])
    return rows.filter(groups__name=group) if group else rows


def find(actor: User, person_id: int = 0, *, username: str = "") -> User:
    """Somebody by id or user name, erased or not, for whoever manages people; NotFound otherwise."""
    require(actor)
    rows = listed().filter(username=username) if username else listed().filter(pk=person_id)
    found = rows.first()
    if found is None:
        raise NotFound("This person")
    return found


def change_role(actor: User, person: User, role: str) -> None:
    """Give ``person`` another role. Invalid for oneself, LastAdmin for the only one."""
    known_role(role)
    with _changing(actor, person) as now:
        if now == actor and role != now.role:
            raise Invalid("You cannot change your own role.", field="role", action="Ask another admin.")
        if role != now.role:
            now.role = role
            now.save(update_fields=["role"])
    person.role = role


def suspend(actor: User, person: User) -> None:
    """``person`` is signed out everywhere and gets in no more, tokens included, until restored."""
    with _changing(actor, person) as now:
        if now == actor:
            raise Invalid("You cannot suspend yourself.", field="person", action="Ask another admin.")
        if not now.is_active:
            raise Conflict(f"{now.username} is not active.", reason="already_suspended")
        now.is_active = False
        now.save(update_fields=["is_active"])
        end_sessions(now)
    person.is_active = False


def restore(actor: User, person: User) -> None:
    """``person`` may sign in again."""
    with _changing(actor, person) as now:
        if now.state != "suspended":
            raise Conflict(f"{now.username} is not suspended.", reason="not_suspended")
        now.is_active = True
        now.save(update_fields=["is_active"])
    person.is_active = True


def set_limit(actor: User, person: User, text: str) -> None:
    """How many agents ``person`` may own: a number, "unlimited", or "role" for what the role gives."""
    limit = limit_from(text)
    with _changing(actor, person) as now:
        if now.max_agents == limit:
            return
        now.max_agents = limit
        now.save(update_fields=["max_agents"])
    person.max_agents = limit


def sign_out(actor: User, person: User) -> int:
    """End every session of ``person``; how many there were. Tokens stay."""
    with _changing(actor, person) as now:
        return end_sessions(now)


def reset_second_factor(actor: User, person: User) -> int:
    """Take every second factor of somebody who lost theirs, and end their sessions."""
    with _changing(actor, person) as now:
        if now == actor:
            raise Invalid(
                "Your own second factor is changed under Your account.",
                field="person",
                action="There you prove that it is you.",
            )
        count = second_factor.reset(now)
        end_sessions(now)
    return count


def end_sessions(person: User, keep: str | None = None) -> int:
    """End every session of ``person`` but the one whose key is ``keep``; how many ended."""
    rows = UserSession.objects.filter(user=person).exclude(session_key=keep)
    for row in rows:
        row.end()
    if rows:
        audit.note("session_ended", person=person, count=len(rows))
    return len(rows)


def clean_name(name: str) -> str:
    """What a person is called beside the user name; Invalid when too long or holding what cannot be seen."""
    name = unicodedata.normalize("NFC", name.strip())
    if len(name) > MAX_NAME:
        raise Invalid(f"A name may have {MAX_NAME} characters.", field="name")
    if "\n" in name or "\t" in name or first_hidden(name) is not None:
        raise Invalid("The name holds an invisible character.", field="name")
    return name


def known_role(role: str) -> str:
    """``role``, if there is such a one; else Invalid."""
    if role not in Role.values:
        raise Invalid("There is no such role.", field="role", action=f"There are: {', '.join(Role.values)}.")
    return role


def limit_from(text: str) -> int | None:
    """What to store for a limit somebody typed; Invalid for what is none."""
    text = text.strip().casefold()
    if text in ("", "role"):
        return None
    if text == "unlimited":
        return NO_LIMIT
    number = whole(text)
    if number is None or number > MOST_AGENTS:
        raise Invalid(
            "This is no limit.",
            field="max_agents",
            action=f"Give a number up to {MOST_AGENTS:,}, or unlimited, or role for what the role gives.",
        )
    return number


def is_last_admin(person: User) -> bool:
    """Is this the only active admin? For pages that say so beforehand; the rule itself is kept by ``User.save``."""
    return person.is_admin and active_admins().count() == 1


@contextmanager
def _changing(actor: User, person: User) -> Iterator[User]:
    """The person as they are now, locked; everything inside happens or nothing. Erased people stay as they are."""
    require(actor)
    with transaction.atomic():
        # All admins before the one: two who demote each other must not both succeed, nor wait for each other.
        list(active_admins().select_for_update().values_list("pk"))
        now = User.objects.select_for_update().filter(pk=person.pk).first()
        if now is None:
            raise NotFound("This person")
        if now.erased_at:
            raise Conflict("This person is erased; there is nothing left to change.", reason="erased")
        if not permissions.may(User.objects.filter(pk=actor.pk).first(), "user.manage"):
            raise NotFound()  # demoted a moment ago
        yield now
