"""The page of what one MCP server asked of the network: where it connected to, what was refused, and who allowed which host."""

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
from mcp_gateway.connections import reading


@never_cache
@require_safe
@signed_in
def server_connections(request: HttpRequest, server_id: str) -> HttpResponse:
    """Its connections, the newest first, for whoever may edit it."""
    user = person(request)
    server = permissions.fetch(user, "server.edit", servers.rows(), pk=server_id)
    state = Choice("decision", "Decision", (("allowed", "let through"), ("denied", "refused")))
    since = Choice("since", "Since", (), is_date=True)
    filters = Filters(request.GET, state, since, hint="Host or program")
    rows = filters.search(reading.of(user, server.pk), "host", "binary")
    if state.value:
        rows = rows.filter(allowed=state.value == "allowed")
    if since.value:
        rows = rows.filter(at__date__gte=since.value)
    page = listing.page(rows, filters)
    context = {
        **server_pages.frame(user, server, "connections"),
        "filters": filters,
        "page": page,
        "found": reading.named(user, page.items),
        "hosts": reading.hosts(server),
        "unseen": reading.unseen(server),
    }
    return render(request, "mcp/server_connections.html", context)
