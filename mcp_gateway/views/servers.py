"""The pages of MCP servers: the list, a new one, and one with its state, its tools as accepted, and who uses it."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from agents import permissions
from agents.errors import LogosError
from agents.models import User
from agents.views import listing
from agents.views.access import person, signed_in
from agents.views.listing import Choice, Filters
from mcp_gateway import access, copies, launch_pins, pins, server_pages, servers
from mcp_gateway.models import McpServer, PinState, ServerKind, ServerState
from mcp_gateway.views import tools
from mcp_gateway.views.access import acted, givers

SHOWN_AGENTS, SHOWN_ERRORS = 20, 6_000
OTHERS = pins.others("pins__tool")


@require_safe
@signed_in
def server_list(request: HttpRequest) -> HttpResponse:
    """The servers this person sees, with how each is and what of it waits to be looked at."""
    user = person(request)
    state = Choice("state", "State", ServerState.choices)
    filters = Filters(request.GET, state, hint="Name, description or category")
    rows = permissions.visible(user, McpServer.objects.all()).select_related("health")
    rows = rows.annotate(
        tools=Count("pins", filter=~Q(pins__digest="") & ~OTHERS, distinct=True),
        waiting=Count("pins", filter=~Q(pins__state=PinState.ACCEPTED), distinct=True),
    )
    rows = filters.search(rows, "name", "description", "category")
    if state.value:
        rows = rows.filter(health__state=state.value)
    page = listing.page(rows, filters, order="name")
    found = [
        {"server": row, "look": server_pages.LOOKS[ServerState(row.health.state)], "line": _line(row)}
        for row in page.items
    ]
    context = {"filters": filters, "page": page, "found": found, "may_add": permissions.may(user, "server.create")}
    context["tabs"] = server_pages.places(user, "servers")
    return render(request, "mcp/servers.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def server_detail(request: HttpRequest, server_id: str) -> HttpResponse:
    """One server: how it is, its tools as agents get them, what waits to be accepted, and which agents use it."""
    user = person(request)
    server = permissions.fetch(user, "server.view", servers.rows(), pk=server_id)
    if request.method != "POST":
        return _page(request, user, server)
    try:
        said = _do(request, user, server)
    except LogosError as error:
        if error.reason in ("not_found", "forbidden"):
            raise
        return _page(request, user, server, error=error, status=409 if error.reason == "stale" else 400)
    messages.success(request, said)
    kept = urlencode({"for": request.POST["for"]}) if request.POST.get("for") else ""
    return redirect(f"{reverse('mcp:server-detail', args=[server.pk])}{kept and '?'}{kept}")


@never_cache
@require_safe
@signed_in
def server_live(request: HttpRequest, server_id: str) -> HttpResponse:
    """How a server is, as a part of its page; nothing when that is what is shown already."""
    user = person(request)
    server = permissions.fetch(user, "server.view", McpServer.objects.select_related("health"), pk=server_id)
    frame = server_pages.frame(user, server, "overview")
    live = _live(server, frame)
    if request.GET.get("seen") == live["seen"]:
        return HttpResponse(status=204)
    return render(request, "mcp/_live.html", {**frame, **live})


def _live(server: McpServer, frame: dict[str, Any]) -> dict[str, str]:
    """What changes by itself: the end of what it said, and what stands for all of it."""
    health = server.health
    errors = health.errors[-SHOWN_ERRORS:] if frame["may_edit"] else ""
    told = [health.state, health.reason, health.since.isoformat(), health.starts, health.title, health.protocol, errors]
    return {"errors": errors, "seen": sha256(json.dumps(told).encode()).hexdigest()[:16]}


def _do(request: HttpRequest, user: User, server: McpServer) -> str:
    given, do = request.POST, request.POST.get("do", "")
    if do == "restart":
        servers.restart(user, server.pk)
        return f"{server.name} is started anew."
    if do == "enable":
        servers.change(user, server.pk, None, enabled=True)
        return f"{server.name} is being started."
    if do == "accept":
        pins.accept(user, server.pk, given.get("tool", "")[:128], given.get("digest", "")[:64])
        return "Agents have the tool as it is offered now."
    if do == "accept-launch":
        launch_pins.accept(user, server.pk, given.get("digest", "")[:64])
        return f"{server.name} is started as it is now."
    if do == "rule":
        return tools.asked(user, server, given)
    return acted(user, given, server.pk)


def _page(request: HttpRequest, user: User, server: McpServer, *, status: int = 200, **more: Any) -> HttpResponse:
    using = access.living(permissions.visible(user, access.rows()).filter(server=server))
    frame = server_pages.frame(user, server, "overview")
    context = {
        **frame,
        "warnings": [*servers.warnings(server), *launch_pins.unseen(user, server)],
        **tools.shown(request, user, server),
        "using": list(using[:SHOWN_AGENTS]),
        "agents": givers(user),
        "copies": copies.of(user, server),
        "launch": launch_pins.waiting(user, server),
        "may_launch": frame["may_edit"] and permissions.may(user, "server.launch"),
        **_live(server, frame),
        "is_program": server.kind == ServerKind.STDIO,
        **more,
    }
    return render(request, "mcp/server.html", context, status=status)


def _line(server: McpServer) -> str:
    """What is most worth knowing of it, in a few words."""
    return server.health.reason or server.description or server.category or "no description"
