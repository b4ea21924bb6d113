"""Somebody saved first: who and when, what they changed, and the form again with nothing of one's draft lost.

How a page with a version-checked form uses it::

    try:
        with editing(user, "policy.edit", Policy.objects.all(), pk, form.cleaned_data["version"]) as policy:
            ...
    except Stale as stale:
        first = conflicts.for_form(stale, form, user)
        context = {"form": PolicyForm(first.data), "conflict": first}
        return render(request, "policies/edit.html", context, status=409)

and its template says ``{% include "_conflict.html" %}`` above the fields. ``first.data`` is what was posted with the
version moved on, so that saving again is a deliberate overwrite. A field one had not touched takes what is stored
now: saving again must not undo, unseen, what the other did. Forms that are no Django forms call ``saved_first``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.db.models import Model
from django.http import QueryDict

from agents import guarding, permissions, rule_lines
from agents.actions import ACTIONS
from agents.diffing import Piece, words
from agents.editing import Stale
from agents.models import User
from agents.numbers import whole

Texts = Mapping[str, str]
Read = Callable[[Any], Texts]


@dataclass(frozen=True, slots=True)
class Field:
    """One field that differs: what they changed (against what one had read), and what saving one's own would do."""

    name: str
    label: str
    theirs: list[Piece]
    mine: list[Piece]

    @property
    def is_taken_over(self) -> bool:
        """One had not touched it, so the form shows theirs now."""
        return bool(self.theirs) and not self.mine


@dataclass(frozen=True, slots=True)
class SavedFirst:
    """What ``_conflict.html`` shows, and the data to draw the form with. ``by`` is "" when one may not know."""

    by: str
    at: datetime | None
    fields: list[Field]
    data: QueryDict
    version: int


def for_form(stale: Stale, form: forms.BaseForm, user: User, read: Read | None = None) -> SavedFirst:
    """The conflict of a bound form: labels and the words of choices are the form's own."""
    named = {name: field for name, field in form.fields.items() if not field.widget.is_hidden}
    labels = {name: str(form[name].label) for name in named}
    choices = {name: field.choices for name, field in named.items() if isinstance(field, forms.ChoiceField)}
    return saved_first(stale, form.data, labels, user, read, choices)


def saved_first(
    stale: Stale,
    posted: Mapping[str, Any],
    labels: Mapping[str, str],
    user: User,
    read: Read | None = None,
    choices: Mapping[str, Any] | None = None,
) -> SavedFirst:
    """Compare what is stored, what the person had read (by ``posted["version"]``) and what they posted.

    ``labels`` names the fields to compare; ``read`` turns a row, or the record of one in its history, into the texts
    its form posts (default: the fields of the model; secrets are never among them); ``choices`` has the words that
    stand for values, as Django's forms name them."""
    read = read or _reader(stale.row)
    data = posted.copy() if isinstance(posted, QueryDict) else _query(posted)
    stored, last, base = read(stale.row), *_records(stale.row, data.get("version", ""))
    before = read(base) if base is not None else None
    found = []
    for name, label in labels.items():
        if name not in stored:
            continue
        now, mine = _plain(stored[name]), _plain(data.get(name, ""))
        was = _plain(before[name]) if before is not None and name in before else None
        if now == mine:
            continue
        if was == mine:
            data[name] = stored[name]
        word = _words_of((choices or {}).get(name))
        theirs = _difference(word(was), word(now)) if was is not None and was != now else []
        # What only I changed is no news to me.
        if theirs or was is None:
            found.append(Field(name, label, theirs, [] if was == mine else _difference(word(now), word(mine))))
    data["version"] = str(stale.row.version)
    return SavedFirst(*_who(last, user, stale.row), found, data, stale.row.version)


def _records(row: Any, version: str) -> tuple[Any, Any]:
    """The newest record of the row's history, and the one of what this person had read (None when unknown)."""
    if not hasattr(row, "history"):
        return None, None
    # A save that leaves no record (a secret, a read mark) moves the version on too.
    number = whole(version)
    read = row.history.filter(version__lte=number).first() if number is not None else None
    return row.history.select_related("history_user").first(), read


def _who(record: Any, user: User, row: Model) -> tuple[str, datetime | None]:
    """Name and time of the last save: the name is for those who manage the row, and for oneself."""
    if record is None:
        return "", None
    by = record.history_user
    if by == user:
        return "You, in another window", record.history_date
    # A provider has no actions beyond edit.
    action = f"{guarding.family(type(row))}.manage"
    may_know = action not in ACTIONS or permissions.allows(user, action, row)
    return by.display_name if by is not None and may_know else "", record.history_date


def _reader(row: Any) -> Read:
    """Reads the fields that the history of the row's model keeps, which leaves out every secret."""
    tracked = row.history.model.tracked_fields if hasattr(row, "history") else []
    names = {field.name: field.attname for field in tracked}
    return lambda each: {name: _text(getattr(each, attname)) for name, attname in names.items()}


def _text(value: Any) -> str:
    if value is None or value is False:
        return ""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return rule_lines.write(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "\n".join(str(each) for each in value)
    return "on" if value is True else str(value)


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def _difference(old: str, new: str) -> list[Piece]:
    """With whole last lines, where there are several: otherwise a line added at the end would touch the one before."""
    end = "\n" if "\n" in old + new else ""
    return words(old + end, new + end)


def _words_of(choices: Any) -> Callable[[str], str]:
    shown = {str(value): str(word) for value, word in choices or ()}
    return lambda value: shown.get(value, value)


def _query(posted: Mapping[str, Any]) -> QueryDict:
    data = QueryDict(mutable=True)
    for name, value in posted.items():
        data[name] = str(value)
    return data
