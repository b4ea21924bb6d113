"""Bulk actions of the console: one row at a time through the functions of the pages, told in counts, nothing skipped
in silence.

``@bulk`` turns a method that acts on one row into an action on the chosen ones. A row this person may see but not act
on is named, a refusal of the function is shown with its row, and the rest goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from agents import permissions
from agents.errors import LogosError, NotFound
from agents.models import User

MOST = 200
_NAMED = 5

One = Callable[[Any, HttpRequest, Any], Any]
Action = Callable[[Any, HttpRequest, QuerySet], HttpResponse | None]


@dataclass(slots=True)
class Came:
    """What came of it: how many, and the sentences about the others."""

    done: int = 0
    refused: list[str] = field(default_factory=list)
    failed: dict[str, list[str]] = field(default_factory=dict)


def bulk(
    description: str,
    *,
    needs: str,
    done: str,
    confirm: str = "",
    note: str = "",
    of: Callable[[Any], Model | None] = lambda row: row,
    related: tuple[str, ...] = (),
) -> Callable[[One], Action]:
    """An action for those whose role includes ``needs``, on the rows (or on what ``of`` says they belong to; None is
    nothing but the role) on which they may do it. ``done`` is what the count is of ("Stopped"), ``confirm`` the sentence of a page that asks first,
    ``note`` the label of a reason it asks for and must get (``request.POST["note"]``), ``related`` what the rows are
    read with."""

    def decorate(one: One) -> Action:
        def action(admin: Any, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
            rows = list(queryset.select_related(*related)[: MOST + 1] if related else queryset[: MOST + 1])
            if len(rows) > MOST:
                admin.message_user(request, f"Choose at most {MOST} at once.", messages.ERROR)
                return None
            lacks_note = bool(note) and not request.POST.get("note", "").strip()
            if (confirm and "confirmed" not in request.POST) or lacks_note:
                problem = "Say why first." if lacks_note and "confirmed" in request.POST else ""
                asked = {
                    "sentence": confirm,
                    "note": note,
                    "problem": problem,
                    "word": description,
                    "action": one.__name__,
                }
                return _question(admin, request, rows, asked)
            came = Came()
            for row in rows:
                _act(admin, request, row, one, needs, of, came)
            _tell(admin, request, came, done)
            return None

        action.__name__ = one.__name__
        action.__doc__ = one.__doc__
        action.short_description = description  # type: ignore[attr-defined]
        action.needs = needs  # type: ignore[attr-defined]
        return action

    return decorate


def who(request: HttpRequest) -> User:
    """The person at the console; nobody else gets this far."""
    return cast(User, request.user)


def _act(
    admin: Any, request: HttpRequest, row: Model, one: One, needs: str, of: Callable[[Any], Model | None], came: Came
) -> None:
    asked = of(row)
    if not (permissions.may(request.user, needs) if asked is None else permissions.allows(request.user, needs, asked)):
        came.refused.append(str(row))
        return
    try:
        one(admin, request, row)
    except NotFound:
        # Somebody took the right away between the list and the click.
        came.refused.append(str(row))
    except LogosError as error:
        came.failed.setdefault(f"{error.message} {error.action}".strip(), []).append(str(row))
    else:
        came.done += 1


def _tell(admin: Any, request: HttpRequest, came: Came, done: str) -> None:
    if came.done:
        admin.message_user(request, f"{done}: {came.done}.", messages.SUCCESS)
    if came.refused:
        admin.message_user(request, f"You may not do this to {_names(came.refused)}.", messages.ERROR)
    for reason, names in came.failed.items():
        admin.message_user(request, f"{_names(names)}: {reason}", messages.ERROR)


def _names(names: list[str]) -> str:
    """The first few by name, the others as a number."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _question(admin: Any, request: HttpRequest, rows: list[Any], asked: dict[str, str]) -> HttpResponse:
    across = request.POST.get("select_across", "0")
    context = {
        **admin.admin_site.each_context(request),
        **asked,
        "title": asked["word"],
        "opts": admin.opts,
        "rows": rows[:25],
        "more": max(len(rows) - 25, 0),
        "count": len(rows),
        "across": across,
        # Of what was ticked only what this person sees; one stands for all when every page is meant.
        "chosen": [row.pk for row in (rows[:1] if across == "1" else rows)],
        "checkbox": ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "admin/confirm_action.html", context)
