"""The page of everybody's runs for admins: who, when, with which agent, how it ended, what it cost; no word of it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from agents import people, privacy
from agents.views.access import person, signed_in
from agents.views.listing import Choice, Filters
from runs import ledger, words
from runs.models import Status

PAGE_SIZE = 25


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def privacy_page(request: HttpRequest) -> HttpResponse:
    """Whether admins may read chats, the switch, and the list that is left to them when they may not."""
    admin = person(request)
    people.require(admin)
    if request.method == "POST":
        on = request.POST.get("private") == "on"
        if privacy.switch(admin, on):
            messages.success(request, "Chats are private now." if on else "Admins and operators can read chats again.")
        return redirect("runs:privacy")
    filters = Filters(request.GET, Choice("status", "State", words.STATES.items()), hint="User name, exactly")
    status = filters.chosen("status")
    found = ledger.lines(admin, person=filters.text, status=status, after=filters.after, limit=PAGE_SIZE)
    shown = found[:PAGE_SIZE]
    following = QueryDict(filters.query, mutable=True)
    if len(found) > PAGE_SIZE:
        following["after"] = shown[-1].id
    page = {
        "items": shown,
        "next": f"?{following.urlencode()}" if len(found) > PAGE_SIZE else "",
        "first": f"?{filters.query}" if filters.after else "",
    }
    context = {"is_on": privacy.is_on(), "page": page, "filters": filters, "states": Status}
    return render(request, "people/privacy.html", context)
