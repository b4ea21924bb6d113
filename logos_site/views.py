"""The home page, and the page for what is not there."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from agents import permissions
from agents.errors import NotFound
from agents.views.access import person, signed_in
from logos_site.api import refuse
from logos_site.up import first_link
from runs.views import parts


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """What runs now, recent chats, the agents one may chat with; before the first start, how to begin."""
    if not request.user.is_authenticated and not first_link.administrator_exists():
        return render(request, "waiting_for_administrator.html")
    return _home(request)


@signed_in
def _home(request: HttpRequest) -> HttpResponse:
    user = person(request)
    context = {
        "running": parts.running_now(user),
        "recent": parts.idle_chats(user)[:6],
        **parts.usable_agents(user),
        "may_chat": permissions.may(user, "agent.chat"),
    }
    return render(request, "home.html", context)


def nothing(request: HttpRequest) -> HttpResponse:
    """An address that a library would answer and Logos does not."""
    raise Http404


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The page for an address nothing lives at; below the API its own refusal: a line break in an address fits no
    pattern, not even the API's last one."""
    if request.path_info.startswith("/api/"):
        return refuse(request, NotFound("This address"))
    return render(request, "404.html", status=404)
