"""The page of what agents did unasked and people are to be told of."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from agents import permissions
from agents.models import Agent
from agents.views import listing
from agents.views.access import person, signed_in
from agents.views.listing import Choice, Filters
from runs import noticed
from sandboxes.tool_server import catalogue

MOST_AGENTS = 200


@require_safe
@signed_in
def noticed_list(request: HttpRequest) -> HttpResponse:
    """Calls that ran under "allow and tell", the newest first."""
    user = person(request)
    rows = permissions.visible(user, Agent.objects.all()).order_by("name").values_list("pk", "name")[:MOST_AGENTS]
    agent = Choice("agent", "Agent", rows)
    tool = Choice("tool", "Tool", [(name, name) for name in catalogue.BY_NAME])
    filters = Filters(request.GET, agent, tool, hint="Reason or error")
    found = filters.search(noticed.seen_by(user), "reason", "error")
    for column, choice in (("agent", agent), ("tool", tool)):
        if choice.value:
            found = found.filter(**{column: choice.value})
    page = listing.page(found, filters)
    context = {"tab": "noticed", "filters": filters, "page": page, "calls": page.items, "days": noticed.DAYS}
    return render(request, "approvals/noticed.html", context)
