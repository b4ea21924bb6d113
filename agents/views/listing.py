"""What every list page does alike: filters that live in the address, chips to undo them, and pages by a cursor.

How a view uses it::

    filters = Filters(request.GET, Choice("status", "State", words.STATES.items()), hint="Name or description")
    agents = filters.search(permissions.visible(user, Agent.objects.alive()), "name", "description")
    if status := filters.chosen("status"):
        agents = agents.filter(status=status)
    listed = listing.page(agents, filters, order="name")
    return render(request, "agents/list.html", {"filters": filters, "page": listed})

and its template includes ``_filters.html``, then the rows of ``page.items``, ``_pager.html``, and when there are none
``_empty.html``. An order that is not the name of a field is an annotation.
"""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import QueryDict

M = TypeVar("M", bound=Model)

PAGE_SIZE = 25
MAX_TEXT = 200


class Choice:
    """One thing a list can be narrowed to: its name in the address, its label, and (value, word) pairs; or a date,
    or words somebody types. ``none`` says what is shown while nothing is chosen."""

    def __init__(
        self,
        name: str,
        label: str,
        options: Iterable[tuple[Any, str]],
        *,
        is_date: bool = False,
        is_text: bool = False,
        none: str = "any",
    ) -> None:
        self.none = none
        self.name, self.label, self.is_date, self.is_text = name, label, is_date, is_text
        self.options = [(str(value), word) for value, word in options]
        self.value = ""

    @property
    def word(self) -> str:
        return next((word for value, word in self.options if value == self.value), self.value)


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that is on, and the address without it."""

    label: str
    word: str
    without: str


class Filters:
    """What a list is narrowed to, read from its address and written back to it. A value that is not among a
    choice's options, and a filter that the list has not, are left out and told in ``problem``, never silently."""

    def __init__(self, query: QueryDict, *choices: Choice, hint: str = "Search", keep: Iterable[str] = ()) -> None:
        self.hint, self.choices = hint, choices
        self.text, self.after = _clean(query.get("text", "")), _clean(query.get("after", ""), 500)
        self.kept = {name: value for name in keep if (value := _clean(query.get(name, "")))}
        known = {"text", "after", *keep, *(choice.name for choice in choices)}
        problems = [
            f"This list has no filter “{_clean(name, 40)}”; it was left out."
            for name, value in query.items()
            if value and name not in known
        ][:1]
        for choice in choices:
            given = _clean(query.get(choice.name, ""))
            if given and choice.is_date and not _is_date(given):
                problems.append(f"{choice.label}: that is not a date; it was left out.")
            elif (
                given and not (choice.is_date or choice.is_text) and given not in {value for value, _ in choice.options}
            ):
                problems.append(f"{choice.label}: there is no such choice; all are shown.")
            else:
                choice.value = given
        self.problem = " ".join(problems)

    def chosen(self, name: str) -> str:
        """The value of a choice, "" for any."""
        return next(choice.value for choice in self.choices if choice.name == name)

    @property
    def any(self) -> bool:
        return bool(self.text or any(choice.value for choice in self.choices))

    @property
    def query(self) -> str:
        """The address of these filters, without the page."""
        return self._address()

    @property
    def nothing(self) -> str:
        """The address with no filter on."""
        query = QueryDict(mutable=True)
        query.update(self.kept)
        return query.urlencode()

    @property
    def chips(self) -> list[Chip]:
        chips = [Chip(each.label, each.word, self._address(each.name)) for each in self.choices if each.value]
        return [Chip("Text", self.text, self._address("text")), *chips] if self.text else chips

    def search(self, rows: QuerySet[M], *fields: str) -> QuerySet[M]:
        """The rows that have every word of the text in one of ``fields``."""
        for word in self.text.split():
            found = Q()
            for field in fields:
                found |= Q(**{f"{field}__icontains": word})
            rows = rows.filter(found)
        return rows

    def _address(self, without: str = "") -> str:
        values = {"text": self.text, **{choice.name: choice.value for choice in self.choices}, **self.kept}
        query = QueryDict(mutable=True)
        query.update({name: value for name, value in values.items() if value and name != without})
        return query.urlencode()


@dataclass(frozen=True, slots=True)
class Page(Generic[M]):
    """One page of a list: ``next`` and ``first`` are addresses, "" where there is nothing to go to."""

    items: list[M]
    next: str
    first: str


def page(rows: QuerySet[M], filters: Filters, order: str = "-pk", size: int = PAGE_SIZE) -> Page[M]:
    """The page of ``rows`` that ``filters.after`` names, in one query. The cursor is a place between two rows, so
    nothing is shown twice or left out while rows are added; one that cannot be read begins at the start."""
    field, down = order.removeprefix("-"), order.startswith("-")
    field = rows.model._meta.pk.name if field == "pk" else field
    is_key = field == rows.model._meta.pk.name
    sign, step = ("-", "lt") if down else ("", "gt")
    place = _place(rows.model, field, filters.after)
    if place is not None:
        value, key = place
        beyond = Q(**{f"pk__{step}": key})
        rows = rows.filter(beyond if is_key else Q(**{f"{field}__{step}": value}) | Q(beyond, **{field: value}))
    found = list(rows.order_by(f"{sign}pk" if is_key else f"{sign}{field}", f"{sign}pk")[: size + 1])
    items, query = found[:size], filters.query
    following = ""
    if len(found) > size:
        last = items[-1]
        cursor = QueryDict(mutable=True)
        cursor["after"] = _cursor(getattr(last, field), last.pk)
        following = "?" + "&".join(filter(None, (query, cursor.urlencode())))
    return Page(items, following, f"?{query}" if place is not None else "")


def _cursor(value: Any, key: Any) -> str:
    shown = value.isoformat() if isinstance(value, datetime) else value
    return urlsafe_b64encode(json.dumps([shown, key], default=str).encode()).decode().rstrip("=")


def _place(model: type[Model], field: str, cursor: str) -> tuple[Any, Any] | None:
    try:
        value, key = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if isinstance(value, str) and "\x00" in value:
            return None
        return _typed(model, field, value), model._meta.pk.to_python(key)
    except (ValueError, TypeError, RecursionError, ValidationError, binascii.Error):
        return None


def _typed(model: type[Model], field: str, value: Any) -> Any:
    try:
        typed = model._meta.get_field(field).to_python(value)  # type: ignore[union-attr]
    except FieldDoesNotExist:
        typed = value
    if typed is None or isinstance(typed, (list, dict)):
        raise ValueError(field)
    return typed


def _clean(text: str, size: int = MAX_TEXT) -> str:
    # A database refuses half characters as it refuses NUL.
    return text.replace("\x00", "").encode(errors="ignore").decode().strip()[:size]


def _is_date(text: str) -> bool:
    try:
        return bool(datetime.strptime(text, "%Y-%m-%d"))
    except ValueError:
        return False
