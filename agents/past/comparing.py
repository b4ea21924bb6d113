"""What changed between two versions of a row, field by field, as pieces a page can draw.

Texts are compared by word, lists as sets, references by the names of what they refer to: only names the reader may
see now, because a version may refer to what somebody else keeps private.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from django.contrib.auth.models import Group
from django.db.models import Field, ForeignKey, JSONField, Model

from agents import permissions, rule_lines
from agents.diffing import Piece, words
from agents.models import Role, User
from agents.models.history import CONSEQUENCES
from agents.past.kinds import kinds, name_of_record, related

# Never worth a line: what a row is, and what is only written when it is made.
_UNSAID = CONSEQUENCES | {"id", "created_at", "date_joined", "revision", "slug"}
# A text longer than this, or of several lines, is compared by word.
ONE_LINE = 80
# What a page shows of a text: so much around a change, and so much in all.
AROUND, MOST_SHOWN = 200, 12_000
GAP = "\n[…]\n"
HIDDEN = "something you may not see"
# Fields that hold a list of the ids of rows, and of which: filled where such a field is declared.
REFERRING: dict[Field, type[Model]] = {}


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that differs. ``form`` is "text" (``pieces``), "set" (``added`` and ``removed``) or "value"
    (``before`` and ``after``; "" is empty)."""

    name: str
    label: str
    form: str
    before: str = ""
    after: str = ""
    pieces: list[Piece] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


def compare(reader: User, before: Any, after: Any) -> list[FieldChange]:
    """The fields in which two records of one row differ; ``before`` None: everything that was there at first."""
    found = []
    for each in fields_of(after):
        old = None if before is None else getattr(before, each.attname)
        new = getattr(after, each.attname)
        if old != new and not (before is None and new in (None, "", [], {})):
            found.append(_change(reader, each, old, new))
    for name, target in members_of(after):
        was, now = member_keys(before, name), member_keys(after, name)
        if was != now:
            names = names_of(reader, target, was | now)
            added, removed = (sorted(names[key] for key in keys) for keys in (now - was, was - now))
            found.append(FieldChange(name, label(name), "set", added=added, removed=removed))
    return found


def shortened(changes: Iterable[FieldChange]) -> list[FieldChange]:
    """The same with long stretches that did not change cut in the middle, and each text cut where nobody reads on."""
    return [replace(each, pieces=_shortened(each.pieces)) if each.form == "text" else each for each in changes]


def _shortened(pieces: list[Piece]) -> list[Piece]:
    """Cut between words, where there are any."""
    kept: list[Piece] = []
    left = MOST_SHOWN
    for piece in pieces:
        text = piece.text
        if piece.kind == "same" and len(text) > 3 * AROUND:
            begin = text[:AROUND].rpartition(" ")[0] or text[:AROUND]
            end = text[-AROUND:].partition(" ")[2] or text[-AROUND:]
            text = f"{begin}{GAP}{end}"
        if len(text) > left:
            kept.append(Piece(piece.kind, f"{text[:left]}{GAP}"))
            break
        kept.append(Piece(piece.kind, text))
        left -= len(text)
    return kept


def fields_of(record: Any) -> list[Field]:
    """The fields of a record that mean something to people."""
    return [each for each in type(record).tracked_fields if each.name not in _UNSAID]


def members_of(record: Any) -> list[tuple[str, type[Model]]]:
    """The many-to-many fields that a record keeps, and what they hold."""
    return [(each.name, each.remote_field.model) for each in record._history_m2m_fields]


def member_keys(record: Any, name: str) -> set[Any]:
    """The keys of what a record's many-to-many field held."""
    if record is None:
        return set()
    target = next(each for each in record._history_m2m_fields if each.name == name).m2m_reverse_field_name()
    return set(getattr(record, name).values_list(f"{target}_id", flat=True))


def label(name: str) -> str:
    """A field's name as people read it."""
    return name.replace("_", " ").removesuffix(" at").capitalize()


def labels(names: Iterable[str]) -> list[str]:
    """The fields a change names, as people read them; what follows from another field is no news."""
    return [label(name) for name in names if name not in _UNSAID]


def _change(reader: User, each: Field, old: Any, new: Any) -> FieldChange:
    word = label(str(each.verbose_name))
    if each in REFERRING:
        gone, come = set(old or []) - set(new or []), set(new or []) - set(old or [])
        names = names_of(reader, REFERRING[each], gone | come)
        if gone or come:
            added, removed = (sorted(names[key] for key in keys) for keys in (come, gone))
            return FieldChange(each.name, word, "set", added=added, removed=removed)
    elif isinstance(each, JSONField) and isinstance(old or [], list) and isinstance(new or [], list):
        was, now = (set(items(each, value or [])) for value in (old, new))
        if was != now:
            return FieldChange(each.name, word, "set", added=sorted(now - was), removed=sorted(was - now))
    before, after = (shown(reader, each, value) for value in (old, new))
    if max(len(before), len(after)) > ONE_LINE or "\n" in before + after:
        return FieldChange(each.name, word, "text", before, after, pieces=words(before, after))
    return FieldChange(each.name, word, "value", before, after)


def items(each: Field, value: list[Any]) -> list[str]:
    """The entries of a list as people read them; rules as they are written."""
    return rule_lines.write(value).splitlines() if each.name == "rules" else [_text(item) for item in value]


def shown(reader: User, each: Field, value: Any) -> str:
    """A value as people read it; "" for none."""
    if value is None or value == "":
        return ""
    if isinstance(each, ForeignKey):
        target: Any = each.remote_field.model
        return names_of(reader, target, {value})[value]
    if each in REFERRING:
        names = names_of(reader, REFERRING[each], value)
        return ", ".join(names[key] for key in value)
    if isinstance(each, JSONField):
        return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)
    if each.choices:
        return str(dict(each.flatchoices).get(value, value))
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if hasattr(value, "strftime"):
        return str(value.strftime("%Y-%m-%d %H:%M"))
    return format(value.normalize(), "f") if hasattr(value, "normalize") else str(value)


def names_of(reader: User, model: type[Model], keys: Iterable[Any]) -> dict[Any, str]:
    """What these rows are called, for ``reader``: those they may see now; admins also those that are gone."""
    keys = set(keys)
    rows = related(model).filter(pk__in=keys)
    is_admin = permissions.role_of(reader) == Role.ADMIN
    if model is Group and not is_admin:
        rows = rows.filter(pk__in=reader.groups.values("pk"))
    elif model is not User and model is not Group:
        rows = permissions.visible(reader, rows)
    names = {row.pk: row.username if isinstance(row, User) else str(row) for row in rows}
    return {key: names.get(key) or _name_of_lost(model, key, is_admin) for key in keys}


def _name_of_lost(model: type[Model], key: Any, is_admin: bool) -> str:
    if not is_admin:
        return "somebody whose account is gone" if model is User else HIDDEN
    record = model.history.filter(id=key).first() if model in kinds().values() else None  # type: ignore[attr-defined]
    return f"{name_of_record(record)} (deleted)" if record is not None else f"{key} (deleted)"
