"""The page of calls of one MCP server: which agent called what, and what came of it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from agents import permissions
from agents.models import Agent
from agents.views import listing
from agents.views.access import person, signed_in
from agents.views.listing import Choice, Filters
from mcp_gateway import server_pages, servers
from mcp_gateway.models import McpCall

# Every outcome a row can have, with its colour and the word for it.
OUTCOMES = {
    "started": ("running", "goes on"),
    "ok": ("ok", "done"),
    "error": ("failed", "failed"),
    "denied": ("blocked", "refused"),
    "held": ("waiting", "waits for a person"),
    "unavailable": ("failed", "server not there"),
    "timeout": ("failed", "no answer in time"),
    "gone": ("failed", "server ended"),
    "cancelled": ("stopped", "caller left"),
    "unknown": ("unknown", "outcome unknown"),
}


@never_cache
@require_safe
@signed_in
def server_calls(request: HttpRequest, server_id: str) -> HttpResponse:
    """The calls of agents whose calls this person may see, the newest first."""
    user = person(request)
    server = permissions.fetch(user, "server.view", servers.rows(), pk=server_id)
    outcome = Choice("outcome", "Outcome", ((name, word) for name, (_, word) in OUTCOMES.items()))
    agents = permissions.visible(user, Agent.objects.all(), "access.view").order_by("name")
    agent = Choice("agent", "Agent", agents.values_list("pk", "name")[:100])
    filters = Filters(request.GET, outcome, agent, hint="Tool or reason")
    rows = permissions.visible(user, McpCall.objects.filter(server=server)).select_related("agent")
    if outcome.value:
        rows = rows.filter(outcome=outcome.value)
    if agent.value:
        rows = rows.filter(agent=agent.value)
    page = listing.page(filters.search(rows, "tool", "reason"), filters)
    found = [{"call": row, "told": OUTCOMES.get(row.outcome, ("unknown", row.outcome))} for row in page.items]
    context = {**server_pages.frame(user, server, "calls"), "filters": filters, "page": page, "found": found}
    return render(request, "mcp/server_calls.html", context)
