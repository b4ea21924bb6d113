"""The page of what happened to one's own account."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from agents.past import telling, timeline
from agents.views.access import person, signed_in
from agents.views.audit import pager, place
from agents.views.listing import PAGE_SIZE


@never_cache
@require_safe
@signed_in
def activity(request: HttpRequest) -> HttpResponse:
    """Security events that one caused or that happened to one, the newest first."""
    user, after = person(request), request.GET.get("after", "")
    entries, more = timeline.about(user, place(after), PAGE_SIZE)
    context = {"lines": [telling.told(user, entry) for entry in entries], "page": pager(entries, more, "", after)}
    return render(request, "account/activity.html", context)
