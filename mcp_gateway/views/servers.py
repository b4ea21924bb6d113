"""The pages of MCP servers: the list, a new one, and one with its state, its tools as accepted, and who uses it."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from agents import diffing, permissions
from agents.errors import Invalid, LogosError
from agents.models import Agent, User, Visibility
from agents.numbers import whole
from agents.past.kinds import may_read
from agents.views import listing
from agents.views.access import person, signed_in
from agents.views.forms import complain
from agents.views.listing import Choice, Filters
from mcp_gateway import access, pinning, pins, servers
from mcp_gateway.models import AccessTier, McpPin, McpServer, PinState, ServerKind, ServerState

LOOKS = {
    ServerState.READY: "ok",
    ServerState.STARTING: "running",
    ServerState.BACKOFF: "waiting",
    ServerState.PARKED: "failed",
    ServerState.STOPPED: "stopped",
    ServerState.DISABLED: "stopped",
}
SHOWN_TOOLS, SHOWN_AGENTS = 60, 20
MOST_CHANGE = 4_000


class NewServer(forms.Form):
    """A server that is not there yet: a program of this host, or an address elsewhere."""

    name = forms.CharField(max_length=40, help_text="Small letters, digits and dashes; part of its tools' names.")
    kind = forms.ChoiceField(label="Where it is", choices=ServerKind.choices)
    command = forms.CharField(
        required=False,
        max_length=300,
        help_text="One program, by name or whole path. It runs on this host, as Logos itself does.",
    )
    args = forms.CharField(
        label="Arguments",
        required=False,
        help_text="One a line. Everybody on this host can read them: no secrets.",
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "autocapitalize": "none", "class": "mono"}),
    )
    env = forms.CharField(
        label="Environment",
        required=False,
        help_text="NAME=VALUE, one a line; ${SECRET} stands for a secret that you set afterwards.",
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false", "autocapitalize": "none", "class": "mono"}),
    )
    url = forms.CharField(label="Address", required=False, max_length=500, help_text="Of one elsewhere: https://…")
    description = forms.CharField(required=False, max_length=300)
    category = forms.CharField(required=False, max_length=40)
    tier = forms.ChoiceField(label="Who gives agents access", choices=AccessTier.choices)
    visibility = forms.ChoiceField(label="Who sees it", choices=Visibility.choices)

    use_required_attribute = False

    def told(self) -> dict[str, Any]:
        """What was filled in, as ``mcp_gateway.servers`` takes it."""
        given = dict(self.cleaned_data)
        given["args"] = [line.strip() for line in given["args"].splitlines() if line.strip()]
        pairs = [line.strip().partition("=") for line in given["env"].splitlines() if line.strip()]
        if wrong := next((name for name, equals, _ in pairs if not equals), None):
            raise Invalid(f"Write {wrong[:60]} as NAME=VALUE.", field="env")
        given["env"] = {name.strip(): value for name, _, value in pairs}
        if given["kind"] == ServerKind.HTTP:
            for name in ("command", "args", "env"):
                given.pop(name)
        else:
            given.pop("url")
        return given


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
    found = [{"server": row, "look": LOOKS[ServerState(row.health.state)], "line": _line(row)} for row in page.items]
    context = {"filters": filters, "page": page, "found": found, "may_add": permissions.may(user, "server.create")}
    return render(request, "mcp/servers.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def server_new(request: HttpRequest) -> HttpResponse:
    """Add a server; it is started at once."""
    user = person(request)
    permissions.require(user, "server.create")
    form = NewServer(request.POST or None)
    if form.is_valid():
        try:
            made = servers.create(user, **form.told())
        except LogosError as error:
            complain(form, error)
        else:
            messages.success(request, f"{made.name} is added and is being started.")
            return redirect("mcp:server-detail", made.pk)
    may_launch = permissions.may(user, "server.launch")
    context = {"form": form, "may_launch": may_launch}
    return render(request, "mcp/server_new.html", context, status=400 if form.is_bound else 200)


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


def _do(request: HttpRequest, user: User, server: McpServer) -> str:
    given, do = request.POST, request.POST.get("do", "")
    if do == "restart":
        servers.restart(user, server.pk)
        return f"{server.name} is started anew."
    if do in ("enable", "disable"):
        servers.change(user, server.pk, None, enabled=do == "enable")
        return f"{server.name} is {do}d."
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
    may_edit = bool(permissions.allows(user, "server.edit", server))
    agents = permissions.visible(user, Agent.objects.alive().filter(archived_at=None), "access.give").order_by("name")
    context = {
        "server": server,
        "look": LOOKS[ServerState(server.health.state)],
        "warnings": servers.warnings(server),
        "waiting": [_change(pin) for pin in rows[:SHOWN_TOOLS] if pin.state != PinState.ACCEPTED],
        "tools": [pin for pin in rows[:SHOWN_TOOLS] if pin.state == PinState.ACCEPTED],
        "more_tools": len(rows) > SHOWN_TOOLS,
        "using": list(using[:SHOWN_AGENTS]),
        "agents": list(agents.values_list("pk", "name")[:200]),
        "may_edit": may_edit,
        "may_read_past": may_read(user, server),
        "may_share": bool(permissions.allows(user, "server.manage", server)),
        "errors": server.health.errors[-6_000:] if may_edit else "",
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
