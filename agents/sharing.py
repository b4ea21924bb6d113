"""Share an object: grants to people and groups, visibility, and another owner; the rules that hold for every door.

Whoever manages the object may do all of it, which is also why nobody can grant what they do not hold: manage is
the highest level. One person or group has one level on an object; granting another replaces it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.db.models import Model, Q, QuerySet

from agents import audit, composition, guarding, limits, permissions
from agents.actions import ACTIONS
from agents.errors import Conflict, Invalid, NotFound
from agents.guarding import GRANTS
from agents.models import Agent, User, Visibility
from agents.standing import LEVELS, lowered

logger = logging.getLogger(__name__)

R = TypeVar("R", bound=Model)
Subject = User | Group


@dataclass(frozen=True, slots=True)
class Grant:
    """One person or group and the level given to them."""

    subject: Subject
    level: str

    @property
    def kind(self) -> str:
        return "person" if isinstance(self.subject, User) else "group"

    @property
    def name(self) -> str:
        """How requests name the subject."""
        return self.subject.username if isinstance(self.subject, User) else self.subject.name


@dataclass(frozen=True, slots=True)
class Given:
    """What agents were given on objects of a kind, which stays when one is made private unless somebody ends it:
    ``count`` says how many agents hold some, ``end`` takes it back from all of them."""

    count: Callable[[Any], int]
    end: Callable[[User, Any], int]


# Filled by the rooms above.
GIVEN: dict[type[Model], Given] = {}


def given_on(row: Model) -> int:
    """How many agents may use it by what they were given."""
    known = GIVEN.get(type(row))
    return known.count(row) if known is not None else 0


def end_given(actor: User, row: Model) -> int:
    """Take that back; from how many agents. Invalid for a kind of which agents are given nothing."""
    known = GIVEN.get(type(row))
    if known is None:
        raise Invalid("Agents are given nothing on this.", field="end_access")
    return known.end(actor, row)


def fetch(actor: User, kind: str, row_id: str) -> Model:
    """The object of this kind and id, if ``actor`` manages it and it is not deleted; NotFound otherwise."""
    model = {guarding.noun(model): model for model in GRANTS}.get(kind)
    if model is None:
        raise NotFound()
    rows: QuerySet[Any] = Agent.objects.alive() if model is Agent else model._default_manager.all()
    related = ("owner", "provider") if kind == "route" else ("owner",)
    return permissions.fetch(actor, f"{kind}.manage", rows.select_related(*related), pk=row_id)


def grants_on(row: Model) -> list[Grant]:
    """Who was given what on ``row``: people by name, then groups. Two queries."""
    found: dict[tuple[str, int], Grant] = {}
    for table, subject in zip(GRANTS[type(row)], ("user", "group"), strict=True):
        held = table._default_manager.filter(content_object=row.pk).select_related(subject, "permission")
        for each in held:
            new = Grant(getattr(each, subject), each.permission.codename.partition("_")[0])  # type: ignore[attr-defined]
            old = found.setdefault((subject, new.subject.pk), new)
            if LEVELS.index(new.level) > LEVELS.index(old.level):
                found[subject, new.subject.pk] = new
    return sorted(found.values(), key=lambda each: (each.kind != "person", each.name.casefold()))


def levels_for(row: Model) -> list[tuple[str, str]]:
    """The levels that mean something on ``row``, each with what it lets people do."""
    noun = guarding.noun(type(row))
    named = [(level, ACTIONS.get(f"{noun}.{level}")) for level in LEVELS]
    return [(level, action.sentence) for level, action in named if action is not None]


def candidates(actor: User, row: Any, text: str = "", limit: int = 12) -> list[Subject]:
    """People and groups ``row`` could be shared with: active, not its owner, without a grant yet, ``text`` in their
    name. For those who manage it: people with an account know each other here, strangers and viewers do not."""
    _require(actor, row)
    by_person, by_group = GRANTS[type(row)]
    people = User.objects.filter(is_active=True).exclude(pk=row.owner_id)
    people = people.exclude(pk__in=by_person._default_manager.filter(content_object=row).values("user"))
    groups = Group.objects.exclude(pk__in=by_group._default_manager.filter(content_object=row).values("group"))
    for word in text.split():
        named = Q(username__icontains=word) | Q(first_name__icontains=word) | Q(last_name__icontains=word)
        people, groups = people.filter(named), groups.filter(name__icontains=word)
    return [*groups.order_by("name")[:limit], *people.order_by("username")[:limit]]


def subject(*, person: str = "", group: str = "", active: bool = True) -> Subject:
    """The person (who is active, if ``active``) or the group of this name. Invalid unless exactly one is named,
    NotFound when unknown."""
    if bool(person) == bool(group):
        raise Invalid("Name a person or a group.", field="person")
    if person:
        people = User.objects.filter(is_active=True) if active else User.objects.all()
        return _found(people.filter(username=person).first(), "This person")
    return _found(Group.objects.filter(name=group).first(), "This group")


def grant(actor: User, subject: Subject, level: str, row: Model) -> None:
    """Give ``subject`` this level on ``row`` and no other. Raises Invalid when it could have no effect, Conflict when
    ``actor`` would take from themselves what they need to manage it."""
    if level not in LEVELS:
        raise Invalid("There is no such level.", field="level", action=f"There are: {', '.join(LEVELS)}.")
    with _changing(actor, row) as now:
        if isinstance(subject, User):
            check_effect(subject, level, now)
        _replace(subject, level, now)
        _note("granted", actor, now, subject, level)
        note_grant("granted", subject, level, now, actor)


def revoke(actor: User, subject: Subject, row: Model) -> None:
    """Take back what ``subject`` was given on ``row``; NotFound when there was nothing, Conflict when ``actor``
    could not manage it any more."""
    with _changing(actor, row) as now:
        held = {each.subject: each.level for each in grants_on(now)}
        if subject not in held:
            raise NotFound("This grant")
        _replace(subject, "", now)
        _note("revoked", actor, now, subject)
        note_grant("revoked", subject, held[subject], now, actor)


def set_visibility(actor: User, row: Model, visibility: str, *, end_access: bool = False) -> None:
    """Make ``row`` private or share it with everyone who may sign in; ``end_access`` also takes back what agents were
    given on it until now."""
    if visibility not in Visibility.values:
        raise Invalid("An object is private or shared.", field="visibility")
    with _changing(actor, row) as now:
        now.visibility = visibility
        now.save(update_fields=["visibility", "updated_at"])
        _note(f"made {visibility}", actor, now)
        if end_access:
            end_given(actor, now)
    row.visibility = visibility  # type: ignore[attr-defined]


def transfer(actor: User, row: Model, new_owner: User, *, keep: bool = True) -> None:
    """Make ``new_owner`` the owner of ``row``. The owner so far keeps managing it by a grant, unless ``keep`` is
    False. Raises Invalid for somebody who could not manage it, Conflict when they have one of this name."""
    action = f"{guarding.noun(type(row))}.manage"
    with _changing(actor, row, may_leave=not keep) as now:
        before = now.owner
        if new_owner == before:
            raise Invalid(f"{new_owner.username} owns it already.", field="person")
        if not permissions.may(new_owner, action):
            raise Invalid(_lacking(new_owner, action), field="person", action="Choose somebody else.")
        if isinstance(now, Agent):
            _check_name(new_owner, now)
            limits.require_room(new_owner)
        now.owner = new_owner
        try:
            with transaction.atomic():
                now.save(update_fields=["owner", "updated_at"])
        except IntegrityError as error:
            raise _taken(new_owner, now) from error
        _replace(new_owner, "", now)
        if before is not None:
            _replace(before, LEVELS[-1] if keep else "", now)
        _note("transferred", actor, now, new_owner)
    row.owner = new_owner  # type: ignore[attr-defined]


def check_effect(person: User, level: str, row: Model) -> None:
    """Raises Invalid when this level on ``row`` would give ``person`` nothing: they own it, are suspended, or their
    role does not include what the level is for."""
    if person.pk == row.owner_id:  # type: ignore[attr-defined]
        raise Invalid(f"{person.username} owns it and may do everything already.", field="person")
    if not person.is_active:
        raise Invalid(f"The account of {person.username} is suspended.", field="person")
    noun = guarding.noun(type(row))
    # Where chat is no action of its own it is what using the object in a chat needs.
    action = f"{noun}.{level}" if f"{noun}.{level}" in ACTIONS else "agent.chat"
    if not permissions.may(person, action):
        best = [each for each, _ in levels_for(row) if permissions.may(person, f"{noun}.{each}")][-1]
        raise Invalid(
            _lacking(person, action),
            field="level",
            reason="no_effect",
            action=f"Grant the level {best}, or ask an admin for another role.",
        )


@contextmanager
def _changing(actor: User, row: Model, *, may_leave: bool = False) -> Iterator[Any]:
    """``row`` as it is now, locked; everything inside happens or nothing, and ``actor`` still manages it after."""
    model = type(row)
    with transaction.atomic():
        now = model._default_manager.select_for_update().filter(pk=row.pk).first()
        if now is None:
            raise NotFound(guarding.noun(model).capitalize())
        _require(actor, now)
        yield now
        if not may_leave and not permissions.allows(actor, f"{guarding.noun(model)}.manage", now):
            raise Conflict(
                "You could not manage it any more after this.",
                reason="locked_out",
                action="Ask its owner, or somebody else who manages it, to do it.",
            )


def _require(actor: User, row: Model) -> None:
    permissions.require(actor, f"{guarding.noun(type(row))}.manage", row)


def _lacking(person: User, action: str) -> str:
    what = lowered(ACTIONS[action].sentence)
    return f"{person.username} has the role {person.role}, which does not include: {what}."


def _check_name(owner: User, agent: Agent) -> None:
    if composition.of_name(Agent.objects.alive().filter(owner=owner), agent.name).exists():
        raise _taken(owner, agent)


def _taken(owner: User, row: Any) -> Conflict:
    return Conflict(
        f"{owner.username} already has an agent called {row}.",
        reason="name_taken",
        action="Rename one of the two first.",
    )


def _replace(subject: Subject, level: str, row: Model) -> None:
    for old in LEVELS:
        if old != level:
            permissions.revoke(subject, old, row)
    if level:
        permissions.grant(subject, level, row)


def _found(subject: Any, what: str) -> Any:
    if subject is None:
        raise NotFound(what)
    return subject


def _note(what: str, actor: User, row: Model, subject: Subject | None = None, level: str = "") -> None:
    """A line for the log, with ids rather than names."""
    whom = "" if subject is None else f" {'user' if isinstance(subject, User) else 'group'} {subject.pk}"
    logger.info("user %s %s %s%s%s", actor.pk, what, row.pk, whom, f" level {level}" if level else "")


def note_grant(kind: str, subject: Subject, level: str, row: Model, actor: User | None = None) -> None:
    """The security event of a grant that was given ("granted") or taken back ("revoked")."""
    if isinstance(subject, User):
        audit.note(kind, actor=actor, person=subject, about=row, level=level)
    else:
        audit.note(kind, actor=actor, about=row, level=level, group=subject.name)
