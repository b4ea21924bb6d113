"""The revisions of a soul: their list, the difference between any two, and making an old text the next one."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from agents import soul_library
from agents.diffing import words
from agents.editing import Stale
from agents.errors import Invalid
from agents.views import listing
from agents.views.access import person, signed_in
from agents.views.listing import Filters
from agents.views.souls import fetch, frame


@require_safe
@signed_in
def soul_revisions(request: HttpRequest, soul_id: str) -> HttpResponse:
    """Every text the soul ever had, the newest first, and two of them to compare."""
    user = person(request)
    soul = fetch(user, soul_id)
    rows = soul.revisions.select_related("author").defer("text")
    page = listing.page(rows, Filters(request.GET), "-number")
    return render(request, "souls/revisions.html", {**frame(user, soul), "page": page})


@require_safe
@signed_in
def soul_diff(request: HttpRequest, soul_id: str) -> HttpResponse:
    """What was taken out and what was put in between two revisions, word by word."""
    user = person(request)
    soul = fetch(user, soul_id)
    context = {**frame(user, soul)}
    try:
        newer = soul_library.number_of(request.GET.get("to", "") or str(soul.revision), "to")
        older = soul_library.number_of(request.GET.get("from", "") or str(max(1, newer - 1)), "from")
    except Invalid as error:
        return render(request, "souls/diff.html", {**context, "error": error}, status=400)
    old, new = (soul_library.revision(soul, number) for number in sorted((older, newer)))
    pieces = words(old.text, new.text)
    context |= {"old": old, "new": new, "pieces": pieces, "is_same": old.text == new.text}
    return render(request, "souls/diff.html", context)


@require_POST
@signed_in
def soul_restore(request: HttpRequest, soul_id: str) -> HttpResponse:
    """The text of an earlier revision becomes the next one."""
    user = person(request)
    number = soul_library.number_of(request.POST.get("number", ""), "number")
    version = soul_library.number_of(request.POST.get("version", ""), "version")
    try:
        soul = soul_library.restore(user, soul_id, number, version)
    except Stale:
        messages.error(request, "Somebody saved this soul in the meantime; look at their revision first.")
        return redirect("agents:soul-revisions", soul_id)
    messages.success(request, f"The text of revision {number} is revision {soul.revision} now.")
    return redirect("agents:soul-detail", soul.pk)
