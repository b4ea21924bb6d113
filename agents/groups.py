"""Groups as admins manage them: made, renamed, filled and deleted. A grant to a group counts for all its members."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.db.models import Count, Model, ProtectedError, QuerySet

from agents import audit, people
from agents.errors import Conflict, Invalid, NotFound
from agents.guarding import GRANTS, noun
from agents.invisible import first_hidden
from agents.models import User

MAX_NAME = 80


def listed() -> QuerySet[Group]:
    """All groups by name, each with ``member_count``."""
    return Group.objects.annotate(member_count=Count("user", distinct=True)).order_by("name")


def find(actor: User, group_id: int) -> Group:
    """The group, for whoever manages people; NotFound otherwise."""
    people.require(actor)
    found = listed().filter(pk=group_id).first()
    if found is None:
        raise NotFound("This group")
    return found


def create(actor: User, name: str) -> Group:
    """A new, empty group. Conflict when the name is taken."""
    people.require(actor)
    with _unique(), transaction.atomic():
        group = Group.objects.create(name=_free_name(name))
        audit.note("group_made", actor=actor, about=group)
    return group


def rename(actor: User, group: Group, name: str) -> None:
    """Another name; members and grants stay."""
    people.require(actor)
    with _unique(), transaction.atomic():
        before, group.name = group.name, _free_name(name, group)
        if before != group.name:
            group.save()
            audit.note("group_renamed", actor=actor, about=group, before=before)


def add(actor: User, group: Group, person: User) -> None:
    """``person`` is a member from now on; adding twice changes nothing."""
    people.require(actor)
    if person.state in ("refused", "erased"):
        raise Invalid(f"{person.username} cannot be a member.", field="person")
    with transaction.atomic():
        if not person.groups.filter(pk=group.pk).exists():
            person.groups.add(group)
            audit.note("member_added", actor=actor, person=person, about=group)


def remove(actor: User, group: Group, person: User) -> None:
    """``person`` is no member any more and loses what only the group gave them."""
    people.require(actor)
    with transaction.atomic():
        if not person.groups.filter(pk=group.pk).exists():
            raise NotFound("This member")
        person.groups.remove(group)
        audit.note("member_removed", actor=actor, person=person, about=group)


@contextmanager
def noting_members(person: User) -> Iterator[None]:
    """Note which groups ``person`` came to and left inside, where a door sets all of them at once."""
    before = set(person.groups.all())
    yield
    after = set(person.groups.all())
    for kind, changed in (("member_added", after - before), ("member_removed", before - after)):
        for group in sorted(changed, key=lambda group: group.name):
            audit.note(kind, person=person, about=group)


def delete(actor: User, group: Group, typed_name: str) -> None:
    """The group and every grant to it are gone. Invalid unless its name is typed, so that it is no slip."""
    people.require(actor)
    if typed_name.strip() != group.name:
        raise Invalid(f"Type {group.name} to delete it.", field="name")
    with transaction.atomic():
        lost = {kind: len(rows) for kind, rows in granted(group).items()}
        members = group.user_set.count()
        audit.note("group_deleted", actor=actor, about=group, members=members, grants=lost)
        try:
            group.delete()
        except ProtectedError as error:
            raise Conflict(
                "This group decides what agents ask.",
                reason="in_use",
                action="Name another under Approvals, Who decides, first.",
            ) from error


def granted(group: Group) -> dict[str, list[Model]]:
    """What the group was given, by kind: what its members lose with it."""
    found: dict[str, list[Model]] = {}
    for model, (_, by_group) in GRANTS.items():
        rows = by_group._default_manager.filter(group=group).select_related("content_object")
        if objects := {row.content_object for row in rows}:  # type: ignore[attr-defined]
            found[noun(model)] = sorted(objects, key=str)
    return found


def _free_name(name: str, group: Group | None = None) -> str:
    name = unicodedata.normalize("NFC", name.strip())
    if not name:
        raise Invalid("A group needs a name.", field="name")
    if len(name) > MAX_NAME:
        raise Invalid(f"A name may have {MAX_NAME} characters.", field="name")
    if any(character in name for character in "\n\t\x00") or first_hidden(name) is not None:
        raise Invalid("The name holds an invisible character.", field="name")
    others = Group.objects.exclude(pk=group.pk) if group else Group.objects.all()
    if name.casefold() in {other.casefold() for other in others.values_list("name", flat=True)}:
        raise _taken()
    return name


def _taken() -> Conflict:
    return Conflict("There is a group of this name.", reason="name_taken", action="Choose another name.")


@contextmanager
def _unique() -> Iterator[None]:
    """Two who choose one name at once: the second is told."""
    try:
        yield
    except IntegrityError as error:
        raise _taken() from error
