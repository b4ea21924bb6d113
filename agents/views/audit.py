"""The audit page: what was changed and what happened, by whom, the newest first."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_safe

from agents import permissions
from agents.errors import Invalid, NotFound
from agents.models import User
from agents.past import telling, timeline
from agents.past.kinds import kinds
from agents.past.timeline import Entry, Wanted
from agents.views.access import person, signed_in
from agents.views.listing import PAGE_SIZE, Choice, Filters, Page


@require_safe
@signed_in
def audit(request: HttpRequest) -> HttpResponse:
    """Everything an admin may see; an operator: what concerns the rows they may see, and their own account."""
    user = person(request)
    if not permissions.may(user, "audit.view"):
        raise NotFound()
    filters = Filters(
        request.GET,
        Choice("person", "Person", (), is_text=True),
        Choice("action", "Action", timeline.actions().items()),
        Choice("kind", "Kind", [(kind, telling.word(kind)) for kind in kinds()]),
        Choice("object", "Id of an object", (), is_text=True),
        Choice("since", "From", (), is_date=True),
        Choice("until", "To", (), is_date=True),
        hint="Name, field or reason",
    )
    wanted, problem = wanted_from(filters)
    entries, more = ([], False) if problem else _page(user, wanted, filters)
    context = {
        "filters": filters,
        "problem": problem,
        "lines": [telling.told(user, entry) for entry in entries],
        "page": pager(entries, more, filters.query, filters.after),
    }
    return render(request, "audit/list.html", context)


def _page(user: User, wanted: Wanted, filters: Filters) -> tuple[list[Entry], bool]:
    return timeline.page(user, wanted, place(filters.after), PAGE_SIZE)


def place(after: str) -> Any:
    """Where a page begins; one that cannot be read begins at the start."""
    try:
        return timeline.place(after)
    except Invalid:
        return None


def wanted_from(filters: Filters) -> tuple[Wanted, str]:
    """What the filters ask for, and the sentence that says why nothing can match."""
    name = filters.chosen("person")
    somebody = User.objects.filter(username__iexact=name).first() if name else None
    wanted = Wanted(
        person=somebody,
        action=filters.chosen("action"),
        kind=filters.chosen("kind"),
        object_id=filters.chosen("object"),
        text=filters.text,
        since=day(filters.chosen("since")),
        until=day(filters.chosen("until"), 1),
    )
    return wanted, "There is nobody of this user name." if name and somebody is None else ""


def day(text: str, later: int = 0) -> datetime | None:
    """The beginning of a day, or of one some days later."""
    found = parse_date(text) if text else None
    try:
        return timezone.make_aware(datetime.combine(found + timedelta(days=later), time.min)) if found else None
    except OverflowError:
        return None


def pager(entries: list[Entry], more: bool, query: str, after: str) -> Page[Any]:
    """The addresses of the next page and the first."""
    following = ""
    if more:
        following = "?" + "&".join(filter(None, (query, urlencode({"after": timeline.cursor(entries[-1])}))))
    return Page(list(entries), following, f"?{query}" if after else "")
