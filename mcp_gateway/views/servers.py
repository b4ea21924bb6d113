"""The pages of MCP servers: the list, a new one, and one with its state, its tools as accepted, and who uses it."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from agents import diffing, permissions
from agents.errors import Invalid, LogosError
from agents.models import Agent, User
from agents.numbers import whole
from agents.views import listing
from agents.views.access import person, signed_in
from agents.views.listing import Choice, Filters
from mcp_gateway import access, pinning, pins, server_pages, servers
from mcp_gateway.models import McpPin, McpServer, PinState, ServerKind, ServerState

SHOWN_TOOLS, SHOWN_AGENTS, SHOWN_ERRORS = 60, 20, 6_000
MOST_CHANGE = 4_000


@require_safe
@signed_in
def server_list(request: HttpRequest) -> HttpResponse:
    """The servers this person sees, with how each is and what of it waits to be looked at."""
    user = person(request)
    state = Choice("state", "State", ServerState.choices)
    filters = Filters(request.GET, state, hint="Name, description or category")
    rows = permissions.visible(user, McpServer.objects.all()).select_related("health")
    rows = rows.annotate(
        tools=Count("pins", filter=~Q(pins__digest=""), distinct=True),
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
    return redirect("mcp:server-detail", server.pk)


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
    if do == "give":
        text = given.get("minutes", "").strip()
        minutes = whole(text) if text else None
        if text and minutes is None:
            raise Invalid("Minutes are a whole number.", field="minutes")
        row = access.give(user, given.get("agent", "")[:40], server.pk, minutes=minutes, reason=given.get("reason", ""))
        return f"{row.agent.name} may use {server.name}."
    if do == "take":
        row = access.revoke(user, given.get("access", "")[:40])
        return f"{row.agent.name} may not use {server.name} any more."
    raise Invalid("This button means nothing here.", field="do")


def _page(request: HttpRequest, user: User, server: McpServer, *, status: int = 200, **more: Any) -> HttpResponse:
    rows = list(McpPin.objects.filter(server=server).select_related("accepted_by")[: SHOWN_TOOLS + 1])
    using = access.living(permissions.visible(user, access.rows()).filter(server=server))
    frame = server_pages.frame(user, server, "overview")
    agents = permissions.visible(user, Agent.objects.alive().filter(archived_at=None), "access.give").order_by("name")
    context = {
        **frame,
        "warnings": servers.warnings(server),
        "waiting": [_change(pin) for pin in rows[:SHOWN_TOOLS] if pin.state != PinState.ACCEPTED],
        "tools": [pin for pin in rows[:SHOWN_TOOLS] if pin.state == PinState.ACCEPTED],
        "more_tools": len(rows) > SHOWN_TOOLS,
        "using": list(using[:SHOWN_AGENTS]),
        "agents": list(agents.values_list("pk", "name")[:200]),
        **_live(server, frame),
        "is_program": server.kind == ServerKind.STDIO,
        **more,
    }
    return render(request, "mcp/server.html", context, status=status)


def _line(server: McpServer) -> str:
    """What is most worth knowing of it, in a few words."""
    return server.health.reason or server.description or server.category or "no description"


def _change(pin: McpPin) -> dict[str, Any]:
    """What a tool was and what it is offered as, word by word."""
    before, after = (_words(each) for each in (pin.definition, pin.offered))
    return {"pin": pin, "pieces": diffing.words(before, after), "flags": pinning.flags(pin.offered)}


def _words(definition: dict[str, Any]) -> str:
    """A definition as people read it: the description first, then the rest, long ones cut."""
    if not definition:
        return ""
    rest = {name: value for name, value in definition.items() if name not in ("name", "description")}
    text = f"{definition.get('description', '')}\n\n{json.dumps(rest, indent=1, ensure_ascii=False, sort_keys=True)}"
    return text if len(text) <= MOST_CHANGE else f"{text[:MOST_CHANGE]}\n… cut; the API shows all of it"
