"""The pages of access: my agents and the servers they may use, and for one server every agent that may or might."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from agents import permissions
from agents.errors import Invalid, LogosError
from agents.models import Agent, User
from agents.numbers import whole
from agents.views import listing
from agents.views.access import person, signed_in
from agents.views.listing import Choice, Filters
from mcp_gateway import access, server_pages, servers
from mcp_gateway.models import McpAccess, McpServer
from runs import approvals
from runs.models import ApprovalKind

MOST_OPTIONS, SHOWN_REQUESTS = 200, 10
LIVING, OVER = "current", (("over", "what is over"), ("every", "everything"))


def acted(user: User, given: QueryDict, server_id: str = "") -> str:
    """Give or take what a form asks for; a sentence about what is true now."""
    if given.get("do") == "take":
        row = access.revoke(user, given.get("access", "")[:40])
        return f"{row.agent.name} may not use {row.server.name} any more."
    if given.get("do") != "give":
        raise Invalid("This button means nothing here.", field="do")
    text = given.get("minutes", "").strip()
    minutes = whole(text) if text else None
    if text and minutes is None:
        raise Invalid("Minutes are a whole number.", field="minutes")
    server_id, agent_id = server_id or given.get("server", "")[:40], given.get("agent", "")[:40]
    row = access.give(user, agent_id, server_id, minutes=minutes, reason=given.get("reason", ""))
    return f"{row.agent.name} may use {row.server.name}."


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def access_list(request: HttpRequest) -> HttpResponse:
    """Which of the agents one sees may use which server: until when, by whom, why; and who asks."""
    user = person(request)
    permissions.require(user, "access.view")
    return _answer(request, "mcp:access", [], lambda **more: _every(request, user, **more))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def server_access(request: HttpRequest, server_id: str) -> HttpResponse:
    """Which agents may use this server, and might."""
    user = person(request)
    server = permissions.fetch(user, "server.view", servers.rows(), pk=server_id)
    return _answer(
        request, "mcp:server-access", [server.pk], lambda **more: _of_server(request, user, server, **more)
    )  # fmt: skip


def _answer(request: HttpRequest, place: str, args: list[str], page: Any) -> HttpResponse:
    if request.method != "POST":
        return page()
    try:
        said = acted(person(request), request.POST, *args)
    except LogosError as error:
        if error.reason == "not_found":
            raise
        typed = {name: request.POST.get(name, "")[:300] for name in ("agent", "server", "minutes", "reason")}
        return page(error=error, typed=typed, status=400)
    messages.success(request, said)
    return redirect(place, *args)


def _every(request: HttpRequest, user: User, *, status: int = 200, **more: Any) -> HttpResponse:
    whose = Choice("whose", "Agents", (("mine", "my own"),), none="all I see")
    filters = Filters(request.GET, _shown(), whose, hint="Agent or server")
    rows = permissions.visible(user, access.rows())
    if whose.value:
        rows = rows.filter(agent__owner=user)
    seen = permissions.visible(user, McpServer.objects.filter(enabled=True)).order_by("name")
    asked = approvals.open_for(user).filter(kind=ApprovalKind.MCP_ACCESS).select_related("agent")
    context = {
        **_listed(user, rows, filters, "agent__name", "server__name"),
        "tabs": server_pages.places(user, "access"),
        "requests": list(asked[: SHOWN_REQUESTS + 1]),
        "shown_requests": SHOWN_REQUESTS,
        "agents": givers(user),
        "servers": list(seen.values_list("pk", "name")[:MOST_OPTIONS]),
        "names_server": True,
        **more,
    }
    return render(request, "mcp/access.html", context, status=status)


def _of_server(request: HttpRequest, user: User, server: McpServer, *, status: int = 200, **more: Any) -> HttpResponse:
    filters = Filters(request.GET, _shown(), hint="Agent")
    rows = permissions.visible(user, access.rows()).filter(server=server)
    context = {
        **server_pages.frame(user, server, "access"),
        **_listed(user, rows, filters, "agent__name"),
        "agents": givers(user),
        **more,
    }
    return render(request, "mcp/server_access.html", context, status=status)


def givers(user: User) -> list[tuple[str, str]]:
    """The agents that this person may let use servers, by name."""
    rows = permissions.visible(user, Agent.objects.alive().filter(archived_at=None), "access.give")
    return list(rows.order_by("name").values_list("pk", "name")[:MOST_OPTIONS])


def _shown() -> Choice:
    return Choice("state", "Show", OVER, none=LIVING)


def _listed(user: User, rows: QuerySet[McpAccess], filters: Filters, *fields: str) -> dict[str, Any]:
    """A page of accesses, each with whether this person may take it and see its server."""
    state = filters.chosen("state")
    if state != "every":
        living = access.living(rows)
        rows = rows.exclude(pk__in=living.values("pk")) if state == "over" else living
    page = listing.page(filters.search(rows, *fields), filters)
    agents, held = {row.agent_id for row in page.items}, {row.server_id for row in page.items}
    given = set(
        permissions.visible(user, Agent.objects.filter(pk__in=agents), "access.give").values_list("pk", flat=True)
    )
    of_servers = McpServer.objects.filter(pk__in=held)
    managed = set(permissions.visible(user, of_servers, "server.manage").values_list("pk", flat=True))
    seen = set(permissions.visible(user, of_servers).values_list("pk", flat=True))
    found = [
        {
            "row": row,
            "may_take": row.is_live and (row.agent_id in given or row.server_id in managed),
            "sees_server": row.server_id in seen,
        }
        for row in page.items
    ]
    return {"filters": filters, "page": page, "found": found, "now": timezone.now()}
