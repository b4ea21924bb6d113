"""The page of what one MCP server asked of models: for which agent, what came of it, and what it cost."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from agents import permissions
from agents.views import listing
from agents.views.access import person, signed_in
from agents.views.listing import Choice, Filters
from mcp_gateway import server_pages, servers
from mcp_gateway.sampling import reading, setting

# Every outcome a row can have, with its colour and the word for it.
OUTCOMES = {
    "started": ("running", "asking"),
    "ok": ("ok", "answered"),
    "refused": ("blocked", "refused"),
    "error": ("failed", "failed"),
    "timeout": ("failed", "no answer in time"),
    "cancelled": ("stopped", "call over"),
    "unknown": ("failed", "Logos ended meanwhile"),
}


@never_cache
@require_safe
@signed_in
def server_models(request: HttpRequest, server_id: str) -> HttpResponse:
    """Its questions, the newest first, for whoever may edit it."""
    user = person(request)
    server = permissions.fetch(user, "server.edit", servers.rows().select_related("sampling_route"), pk=server_id)
    outcome = Choice("outcome", "Outcome", ((name, word) for name, (_, word) in OUTCOMES.items()))
    filters = Filters(request.GET, outcome, hint="Tool or reason")
    rows = reading.of(user, server.pk)
    if outcome.value:
        rows = rows.filter(outcome=outcome.value)
    page = listing.page(filters.search(rows, "tool", "reason"), filters)
    found = [
        {"asked": row, "told": OUTCOMES.get(row.outcome, ("unknown", row.outcome))}
        for row in reading.named(user, page.items)
    ]
    route = server.sampling_route
    sees = route is not None and bool(permissions.allows(user, "route.view", route))
    context = {**server_pages.frame(user, server, "models"), "filters": filters, "page": page, "found": found}
    context["model"] = (route.model if sees else setting.UNSEEN) if route is not None else ""
    context["others"] = setting.others(user, server)
    return render(request, "mcp/server_models.html", context)
