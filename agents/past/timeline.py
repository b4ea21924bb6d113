"""The audit: changes of every kind of configuration and security events as one timeline, the newest first.

Each table is narrowed, ordered and cut to one page by itself, then all are read in one query and merged, so that a
page costs the same however long the tables are. A save that changed nothing is left out; the row's own history has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import CharField, F, Model, Q, QuerySet, TextField, Value
from django.db.models.functions import Cast

from agents import permissions
from agents.audit import EVENTS, word_for
from agents.errors import Invalid
from agents.guarding import GRANTS
from agents.models import Role, SecurityEvent, User
from agents.numbers import whole
from agents.past.comparing import labels
from agents.past.kinds import kinds, managed, name_field, readable
from agents.past.versions import WHAT

EVENT = "event"
_TOLD_BY_EVENTS = ("visibility", "owner", "role", "is_active", "max_agents")
CHANGES = {word: mark for mark, word in WHAT.items()}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the timeline is narrowed to; the empty value of each is everything. ``action`` is made, changed, deleted
    or a kind of security event, ``person`` whoever did it or to whom it happened."""

    person: User | None = None
    action: str = ""
    kind: str = ""
    object_id: str = ""
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. ``source`` is the kind of what was changed, or "event"."""

    source: str
    key: Any
    at: datetime
    by_id: int | None
    via: str
    action: str
    kind: str
    object_id: str
    name: str
    reason: str
    changed: tuple[str, ...]
    event: SecurityEvent | None = None
    by: User | None = None

    @property
    def labels(self) -> list[str]:
        return labels(self.changed)

    @property
    def place(self) -> tuple[datetime, str, Any]:
        """Where it stands among all entries."""
        return self.at, self.source, self.key


def actions() -> dict[str, str]:
    """Every action there is to narrow to, with its words."""
    return {**{word: f"configuration {word}" for word in CHANGES}, **EVENTS}


def page(user: User, wanted: Wanted, after: tuple[datetime, str, str] | None, size: int) -> tuple[list[Entry], bool]:
    """At most ``size`` entries that ``user`` may see, older than ``after``, and whether there are more."""
    parts = [part for part in _parts(user, wanted, after, size + 1) if not part.query.is_empty()]
    if not parts:
        return [], False
    rows = parts[0].union(*parts[1:], all=True) if len(parts) > 1 else parts[0]
    found = sorted(map(_entry, rows), key=lambda entry: entry.place, reverse=True)
    return _filled(found[:size]), len(found) > size


def about(user: User, after: tuple[datetime, str, str] | None, size: int) -> tuple[list[Entry], bool]:
    """The events of one's own account: what one did to it, and what others did."""
    return _page_of_events(SecurityEvent.objects.filter(_own(user)), after, size)


def _own(user: User) -> Q:
    """Events of one's own account. What one was refused is for those who manage it: to oneself it must go on looking
    like what is not there."""
    return Q(person=user) | Q(actor=user) & ~Q(kind="refused")


def events_about(kind: str, object_id: str, size: int) -> tuple[list[Entry], bool]:
    """The newest events about one object, whoever may see it."""
    rows = SecurityEvent.objects.filter(object_kind=kind, object_id=object_id)
    return _page_of_events(rows, None, size)


def _page_of_events(rows: QuerySet[SecurityEvent], after: Any, size: int) -> tuple[list[Entry], bool]:
    found = map(_entry, _events(_cut(rows, EVENT, "at", "id", after, size + 1)))
    newest = sorted(found, key=lambda entry: entry.place, reverse=True)
    return _filled(newest[:size]), len(newest) > size


def cursor(entry: Entry) -> str:
    """Where the page after this entry begins."""
    return f"{entry.at.isoformat()}~{entry.source}~{entry.key}"


def place(text: str) -> tuple[datetime, str, str] | None:
    """The place a cursor names; None for no cursor. Raises Invalid for what is none."""
    if not text:
        return None
    at, _, rest = text.partition("~")
    source, _, key = rest.partition("~")
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        moment = None
    known = source == EVENT or (source in kinds() and whole(key) is not None)
    if moment is None or moment.tzinfo is None or not known:
        raise Invalid("This is not the `next` of a page.", field="after")
    return moment, source, key


def _parts(user: User, wanted: Wanted, after: Any, size: int) -> Iterator[QuerySet[Any]]:
    if not wanted.action or wanted.action in CHANGES:
        for kind, model in kinds().items():
            if not wanted.kind or wanted.kind == kind:
                yield _changes(kind, model, _narrowed(user, wanted, model), after, size)
    if wanted.action not in CHANGES:
        yield _events(_cut(_events_for(user, wanted), EVENT, "at", "id", after, size))


def _narrowed(user: User, wanted: Wanted, model: Any) -> QuerySet[Any]:
    """The records of ``model`` that are wanted and that ``user`` may see."""
    key = model._meta.pk.attname
    # What an event tells better is not told twice (``agents.watching`` notes every one of these).
    rows: QuerySet[Any] = model.history.exclude(history_type="~", changed__in=("", *_TOLD_BY_EVENTS))
    if model is User:
        rows = rows.filter(history_type="~")
    allowed = readable(user, model)
    if allowed is not None:
        rows = rows.filter(**{f"{key}__in": allowed.order_by().values("pk")})
    if wanted.action:
        rows = rows.filter(history_type=CHANGES[wanted.action])
    if wanted.object_id:
        is_number = whole(wanted.object_id) is not None
        fits = is_number or model._meta.pk.get_internal_type() == "CharField"
        rows = rows.filter(**{key: wanted.object_id}) if fits else rows.none()
    if wanted.person is not None:
        theirs = Q(history_user=wanted.person)
        rows = rows.filter(theirs | Q(id=wanted.person.pk) if model is User else theirs)
    for word in wanted.text.split():
        rows = rows.filter(
            Q(**{f"{name_field(model)}__icontains": word})
            | Q(history_change_reason__icontains=word)
            | Q(changed__icontains=word)
        )
    return _between(rows, "history_date", wanted)


def _events_for(user: User, wanted: Wanted) -> QuerySet[SecurityEvent]:
    """The events that are wanted and that ``user`` may see: on what they manage, and of their own account."""
    rows = SecurityEvent.objects.all()
    if permissions.role_of(user) != Role.ADMIN:
        rule = _own(user)
        for model in GRANTS:
            allowed = managed(user, model)
            assert allowed is not None  # noqa: S101 (only admins have no limit)
            rule |= Q(object_kind=word_for(model), object_id__in=allowed.order_by().values("pk"))
        rows = rows.filter(rule)
    if wanted.action:
        rows = rows.filter(kind=wanted.action)
    if wanted.kind:
        rows = rows.filter(object_kind=wanted.kind)
    if wanted.object_id:
        rows = rows.filter(object_id=wanted.object_id)
    if wanted.person is not None:
        rows = rows.filter(Q(actor=wanted.person) | Q(person=wanted.person))
    for word in wanted.text.split():
        matching = [kind for kind, words in EVENTS.items() if word.lower() in words.lower()]
        rows = rows.annotate(told=Cast("detail", TextField())).filter(
            Q(object_name__icontains=word) | Q(told__icontains=word) | Q(kind__in=matching)
        )
    return _between(rows, "at", wanted)


def _between(rows: QuerySet[Any], field: str, wanted: Wanted) -> QuerySet[Any]:
    if wanted.since:
        rows = rows.filter(**{f"{field}__gte": wanted.since})
    return rows.filter(**{f"{field}__lt": wanted.until}) if wanted.until else rows


def _cut(rows: QuerySet[Any], source: str, at: str, key: str, after: Any, size: int) -> QuerySet[Any]:
    """The first ``size`` rows older than the cursor. A slice cannot be part of a union, its keys can."""
    if after is not None:
        moment, last_source, last_key = after
        older = Q(**{f"{at}__lt": moment})
        if source < last_source:
            older |= Q(**{at: moment})
        elif source == last_source:
            older |= Q(**{at: moment, f"{key}__lt": last_key})
        rows = rows.filter(older)
    kept = rows.order_by(f"-{at}", f"-{key}").values(key)[:size]
    return rows.model._default_manager.filter(**{f"{key}__in": kept}).order_by()


def _changes(kind: str, model: type[Model], rows: QuerySet[Any], after: Any, size: int) -> QuerySet[Any]:
    cut = _cut(rows, kind, "history_date", "history_id", after, size)
    return _columns(
        cut, kind, "history_id", "history_date", F("history_user_id"), F("history_type"), Value(kind),
        F(model._meta.pk.attname), F(name_field(model)), F("history_change_reason"), F("changed"),
    )  # fmt: skip


def _events(cut: QuerySet[Any]) -> QuerySet[Any]:
    return _columns(
        cut, EVENT, "id", "at", F("actor_id"), F("kind"), F("object_kind"), F("object_id"), F("object_name"),
        Value(""), Value(""),
    )  # fmt: skip


_TEXTS = ("what", "of_kind", "of_id", "called", "why", "fields")


def _columns(rows: QuerySet[Any], source: str, key: str, at: str, by: F, *texts: Any) -> QuerySet[Any]:
    """The same columns from every table, so that they can be one query."""
    named = {f"e_{name}": Cast(text, CharField()) for name, text in zip(_TEXTS, texts, strict=True)}
    columns = {
        "e_source": Value(source, CharField()),
        "e_key": Cast(F(key), CharField()),
        "e_at": F(at),
        "e_by": by,
        "e_via": F("via"),
        **named,
    }
    return rows.annotate(**columns).values_list(*columns)


def _entry(row: tuple[Any, ...]) -> Entry:
    source, key, at, by, via, what, kind, object_id, name, why, fields = row
    is_event = source == EVENT
    return Entry(
        source, key if is_event else int(key), at, by, via, what if is_event else WHAT[what], kind, object_id, name,
        why, tuple(filter(None, fields.split(","))),
    )  # fmt: skip


def _filled(entries: list[Entry]) -> list[Entry]:
    """The entries with their people and events. Two queries."""
    keys = [entry.key for entry in entries if entry.source == EVENT]
    events = {row.pk: row for row in SecurityEvent.objects.filter(pk__in=keys).select_related("actor", "person")}
    people = User.objects.in_bulk({entry.by_id for entry in entries if entry.by_id is not None})
    return [
        replace(entry, event=events.get(entry.key) if entry.source == EVENT else None, by=people.get(entry.by_id))
        for entry in entries
    ]
