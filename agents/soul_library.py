"""Change, copy, put away and delete souls, with the rules that hold for every door and what each person may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import ProtectedError, Q, QuerySet, Value
from django.db.models.functions import Concat

from agents import permissions, soul_files, souls, starters
from agents.editing import editing
from agents.errors import Conflict, Invalid, LogosError, NotFound
from agents.invisible import spelled_out
from agents.models import Agent, Soul, SoulRevision, SoulStatus, User, Visibility
from agents.numbers import whole

NAMED_AGENTS = 5


def with_tag(rows: QuerySet[Soul], tag: str) -> QuerySet[Soul]:
    """Those of ``rows`` that have this tag as a whole word."""
    line = Concat(Value(" "), "tags", Value(" "))
    return rows.annotate(tag_line=line).filter(tag_line__contains=f" {tag.strip().lower()} ")


def has_word(word: str) -> Q:
    """Souls that have the word in their name, description or tags."""
    return Q(name__icontains=word) | Q(description__icontains=word) | Q(tags__icontains=word)


def used_by(user: User, soul: Soul) -> QuerySet[Agent]:
    """The living agents with this soul that ``user`` may see, by name."""
    return permissions.visible(user, Agent.objects.alive().filter(soul=soul)).order_by("name", "pk")


def write(user: User, *, visibility: str = Visibility.PRIVATE, **parts: Any) -> Soul:
    """A new soul of ``user``; ``parts`` as ``agents.souls.create`` takes them."""
    permissions.require(user, "soul.create")
    return souls.create(author=user, visibility=visibility, **parts)


class Taken(NamedTuple):
    """What came of a file: the soul, and what the file held that is not in it."""

    soul: Soul
    notes: tuple[str, ...]


def take_in(user: User, content: str, file_name: str, *, name: str = "", visibility: str = Visibility.PRIVATE) -> Taken:
    """A new soul of ``user`` from a SOUL.md. Raises Invalid for what cannot be read."""
    permissions.require(user, "soul.create")
    sheet = soul_files.parse(content, file_name)
    source = spelled_out(" ".join(file_name.split()))[:120]
    parts = sheet.parts() | ({"name": name} if name.strip() else {})
    soul = write(user, **parts, visibility=visibility, origin=f"file:{source}", note=f"Imported from {source}")
    return Taken(soul, sheet.notes)


def edit(user: User, soul_id: str, version: int | None, *, note: str = "", **parts: Any) -> Soul:
    """Save new parts of a soul that nobody has saved since ``version``. Raises NotFound, Stale or Invalid."""
    with editing(user, "soul.edit", Soul.objects.all(), soul_id, version) as soul:
        check_status(user, soul, parts.get("status", soul.status))
        return souls.change(soul, user, note=note, **parts)


def check_status(user: User, soul: Soul, status: str) -> None:
    """Archiving takes a soul away from others, so it is for those who manage it; so is taking it out again."""
    if status == soul.status or SoulStatus.ARCHIVED not in (status, soul.status):
        return
    if not permissions.allows(user, "soul.manage", soul):
        raise LogosError(
            "Only those who manage a soul put it into the archive or take it out.",
            reason="forbidden",
            action="Ask its owner.",
        )


def set_status(user: User, soul_id: str, status: str) -> Soul:
    """Draft, active or archived, whatever else was saved in the meantime."""
    return edit(user, soul_id, None, status=status)


def restore(user: User, soul_id: str, number: int, version: int | None) -> Soul:
    """The text of revision ``number`` becomes the next revision. Raises NotFound, Stale or Invalid."""
    with editing(user, "soul.edit", Soul.objects.all(), soul_id, version) as soul:
        return souls.restore(soul, number, user)


def revision(soul: Soul, number: int) -> SoulRevision:
    """One revision of a soul that was fetched already; NotFound when there is none of this number."""
    found = soul.revisions.filter(number=number).first()
    if found is None:
        raise NotFound("Revision")
    return found


def unnamed(user: User, soul: Soul, revisions: list[SoulRevision]) -> list[SoulRevision]:
    """The revisions without the names ``user`` is not told: who saved one is for those who manage the soul."""
    if not permissions.allows(user, "soul.manage", soul):
        for each in revisions:
            if each.author_id not in (user.pk, soul.owner_id):
                each.author = None
    return revisions


@transaction.atomic
def copy(user: User, soul_id: str) -> Soul:
    """A private soul of ``user`` that says the same."""
    permissions.require(user, "soul.create")
    soul = permissions.fetch(user, "soul.view", Soul.objects.all(), pk=soul_id)
    parts = souls.sheet_of(soul).parts() | {"name": f"{soul.name[:73]} (copy)"}
    note = f"A copy of {soul.name}, revision {soul.revision}"
    return write(user, **parts, origin=f"soul:{soul.pk}@{soul.revision}", note=note)


@transaction.atomic
def delete(user: User, soul_id: str) -> Soul:
    """The soul and its revisions go. Conflict while an agent has it, naming those ``user`` may see."""
    soul = permissions.fetch(user, "soul.manage", Soul.objects.select_for_update(of=("self",)), pk=soul_id)
    if problem := in_use(user, soul):
        raise problem
    try:
        soul.delete()
    except ProtectedError as error:  # an agent was given it in this moment
        raise _in_use("An agent has this soul.") from error
    return soul


def in_use(user: User, soul: Soul) -> Conflict | None:
    """Why the soul cannot be deleted; None when it can."""
    if not soul.agents.exists():
        return None
    names = list(used_by(user, soul).values_list("name", flat=True)[: NAMED_AGENTS + 1])
    if not names:
        if soul.agents.alive().exists():
            return _in_use("An agent that you cannot see has this soul.")
        return _in_use("Deleted agents still have this soul in their record.", "Archive it instead.")
    more = " and others" if len(names) > NAMED_AGENTS else ""
    listed = f"{', '.join(names[:NAMED_AGENTS])}{more}"
    if len(names) == 1:
        return _in_use(f"{listed} has this soul.")
    return _in_use(f"{listed} have this soul.", "Give them another soul first, or archive this one.")


def _in_use(sentence: str, way: str = "Give it another soul first, or archive this one.") -> Conflict:
    return Conflict(sentence, reason="in_use", action=way)


@dataclass(frozen=True, slots=True)
class Origin:
    """What a soul was made from, as a sentence, and the row to link to where there is one to see."""

    sentence: str
    soul: Soul | None = None


def origin_of(user: User, soul: Soul) -> Origin | None:
    """Where a soul came from; a soul that ``user`` may not see is not named."""
    kind, _, rest = soul.origin.partition(":")
    what, _, mark = rest.rpartition("@")
    if kind == "starter":
        return Origin(_from_starter(what, mark))
    if kind == "soul":
        source = permissions.visible(user, Soul.objects.filter(pk=what)).first()
        if source is None:
            return Origin(f"A copy of another soul, its revision {mark}.")
        return Origin(f"A copy of {source.name}, revision {mark}.", source)
    return Origin(f"Imported from {rest}.") if kind == "file" else None


def _from_starter(slug: str, mark: str) -> str:
    try:
        starter = starters.get(slug)
    except NotFound:
        return f"Made from the starter soul {slug}, which is no longer offered."
    changed = "" if starter.sha256.startswith(mark) else ", which has changed since"
    return f"Made from the starter soul {starter.sheet.name}{changed}."


def number_of(text: str, field: str) -> int:
    """A revision's number as somebody typed it. Raises Invalid."""
    if (number := whole(text)) is None:
        raise Invalid("A revision has a number.", field=field)
    return number
