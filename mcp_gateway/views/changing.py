"""The pages that add and change an MCP server, keep its secrets, switch it off and delete it."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from agents import permissions
from agents.editing import Stale
from agents.errors import Invalid, LogosError
from agents.models import User
from agents.views import conflicts
from agents.views.access import person, signed_in
from agents.views.confirming import confirmed
from agents.views.forms import complain
from mcp_gateway import catalogue, launching, server_forms, server_pages, servers
from mcp_gateway.models import McpServer
from mcp_gateway.server_forms import ServerForm


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def server_new(request: HttpRequest) -> HttpResponse:
    """Add a server; it is started at once unless that is switched off."""
    user = person(request)
    permissions.require(user, "server.create")
    known = _known(user, request.GET.get("from", ""))
    form = ServerForm(user, request.POST or None, initial=dict(known.fields) if known else {})
    if form.is_valid():
        try:
            made = servers.create(user, **form.told())
        except LogosError as error:
            _complain(form, error)
        else:
            messages.success(request, f"{made.name} is added{' and is being started' if made.enabled else ''}.")
            return redirect(_next(made))
    return render(request, "mcp/server_new.html", {"form": form, "known": known}, status=400 if form.is_bound else 200)


def _known(user: User, name: str) -> catalogue.Known | None:
    """What of the catalogue fills the form, if this person may add it."""
    if not name:
        return None
    known = catalogue.get(name[:40])
    if known.is_program:
        permissions.require(user, "server.launch")
    return known


def _next(server: McpServer) -> str:
    """Where to go on: to what it lacks, if it lacks something."""
    place = "mcp:server-secrets" if servers.lacking(server) else "mcp:server-detail"
    return reverse(place, args=[server.pk])


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def server_edit(request: HttpRequest, server_id: str) -> HttpResponse:
    """The settings of a server; what somebody else saved meanwhile is shown, and nothing typed is lost."""
    user = person(request)
    server = _server(user, server_id, "server.edit")
    if request.method != "POST":
        return _settings(request, server, ServerForm(user, server=server))
    form = ServerForm(user, request.POST, server=server)
    if not form.is_valid():
        return _settings(request, server, form, status=400)
    try:
        saved = servers.change(user, server_id, form.cleaned_data["version"] or 0, **form.told())
    except Stale as stale:
        return _saved_first(request, stale, form)
    except LogosError as error:
        if error.reason == "not_found":
            raise
        _complain(form, error)
        return _settings(request, server, form, status=400)
    messages.success(request, f"{saved.name} is saved.")
    return redirect("mcp:server-edit", server_id)


def _saved_first(request: HttpRequest, stale: Stale, form: ServerForm) -> HttpResponse:
    user, server = person(request), servers.rows().get(pk=stale.row.pk)
    labels = {name: str(form[name].label) for name, field in form.fields.items() if not field.disabled}
    labels.pop("version")
    labels.pop("end_access", None)  # asked for anew with what is saved next
    choices = {name: getattr(field, "choices", None) for name, field in form.fields.items()}
    first = conflicts.saved_first(stale, form.data, labels, user, partial(server_forms.texts, user), choices)
    return _settings(request, server, ServerForm(user, first.data, server=server), status=409, conflict=first)


def _settings(request: HttpRequest, server: McpServer, form: ServerForm, *, status: int = 200, **more: Any) -> Any:
    frame = server_pages.frame(person(request), server, "settings")
    return render(request, "mcp/server_edit.html", {**frame, "form": form, **more}, status=status)


def _complain(form: ServerForm, error: LogosError) -> None:
    """Beside the field; what is about a limit stands beside the first of them."""
    complain(form, error, limits="memory_mb")


@never_cache
@sensitive_post_parameters("value")
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def server_secrets(request: HttpRequest, server_id: str) -> HttpResponse:
    """Names of a server's secrets, never their values; forms to set, replace and forget them."""
    user = person(request)
    server = _server(user, server_id, "server.edit")
    if request.method != "POST":
        return _secrets(request, server)
    name = request.POST.get("name", "").strip()[:64]
    try:
        said = _keep(user, server, request, name)
    except LogosError as error:
        if error.reason == "not_found":
            raise
        return _secrets(request, server, status=400, error=error, name=name, field=getattr(error, "field", ""))
    messages.success(request, said)
    return redirect("mcp:server-secrets", server.pk)


def _keep(user: User, server: McpServer, request: HttpRequest, name: str) -> str:
    do = request.POST.get("do", "")
    if do == "set":
        servers.put_secret(user, server.pk, name, request.POST.get("value", ""))
        return f"{name} is stored. The server is started anew with it if it names it."
    if do == "remove":
        servers.remove_secret(user, server.pk, name)
        return f"{name} is forgotten."
    raise Invalid("The page did not say what to change.", action="Reload it and try again.")


def _secrets(request: HttpRequest, server: McpServer, *, status: int = 200, **more: Any) -> HttpResponse:
    context = {
        **server_pages.frame(person(request), server, "secrets"),
        "secrets": server.secrets.select_related("set_by").defer("sealed"),
        "named": launching.references({**server.env, **server.headers}),
        "lacking": servers.lacking(server),
        "most": servers.MAX_SECRETS,
        **more,
    }
    return render(request, "mcp/server_secrets.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def server_off(request: HttpRequest, server_id: str) -> HttpResponse:
    """Asks, then ends a server and leaves it off."""
    user = person(request)
    server = _server(user, server_id, "server.edit")
    back = reverse("mcp:server-detail", args=[server.pk])
    context = {
        "question": f"Switch {server.name} off?",
        "consequences": [
            "It ends now; calls that go on are answered with that.",
            "Agents keep their access and cannot use it until somebody starts it again.",
        ],
        "button": f"Switch {server.name} off",
        "back": back,
    }
    return confirmed(
        request, context, partial(servers.change, user, server_id, None, enabled=False),
        done=f"{server.name} is off.", to=back,
    )  # fmt: skip


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def server_delete(request: HttpRequest, server_id: str) -> HttpResponse:
    """Asks, then deletes."""
    user = person(request)
    server = _server(user, server_id, "server.manage")
    context = {
        "question": f"Delete MCP server {server.name}?",
        "consequences": [
            "It ends now, and every agent that may use it loses it.",
            "Its secrets, its accounts and what was accepted of its tools are forgotten.",
            "The calls that were made stay in the records.",
        ],
        "button": f"Delete MCP server {server.name}",
        "back": reverse("mcp:server-edit", args=[server.pk]),
    }
    return confirmed(
        request, context, partial(servers.remove, user, server_id),
        done=f"{server.name} is deleted.", to=reverse("mcp:server-list"),
    )  # fmt: skip


def _server(user: User, server_id: str, action: str) -> McpServer:
    return permissions.fetch(user, action, servers.rows(), pk=server_id)
