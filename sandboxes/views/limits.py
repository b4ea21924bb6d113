"""What an agent's sandbox may use, to read and to change."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from agents import agent_pages, composition, permissions, sandbox_limits
from agents.editing import Stale, editing
from agents.errors import Invalid, LogosError
from agents.models import Agent, User
from agents.numbers import whole
from agents.views import conflicts
from agents.views.access import person, signed_in


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def sandbox_limits_page(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Every limit with the site's number beside it; an empty field is the site's."""
    user = person(request)
    agent = permissions.fetch(user, "sandbox.limit", agent_pages.rows(), pk=agent_id)
    if request.method != "POST":
        return _page(request, agent, {name: str(value) for name, value in agent.limits.items()}, agent.version)
    typed = {name: request.POST.get(name, "").strip() for name in sandbox_limits.LIMITS}
    version = whole(request.POST.get("version", ""))
    number = -1 if version is None else version
    try:
        _change(user, agent, typed, number)
    except Stale as stale:
        labels = {name: limit.label for name, limit in sandbox_limits.LIMITS.items()}
        first = conflicts.saved_first(stale, request.POST, labels, user, read=_texts)
        typed = {name: first.data.get(name, "") for name in sandbox_limits.LIMITS}
        return _page(request, agent, typed, int(first.version), conflict=first, status=409)
    except LogosError as error:
        if error.reason == "not_found":
            raise
        return _page(request, agent, typed, number, error=error, status=400)
    messages.success(request, f"The limits of {agent.name} are saved. They hold from the next start of its sandbox.")
    return redirect("agents:agent-detail", agent.pk)


def _texts(agent: Agent) -> dict[str, str]:
    return {name: str(agent.limits.get(name, "")) for name in sandbox_limits.LIMITS}


def _change(user: User, agent: Agent, typed: dict[str, str], version: int) -> None:
    values = {name: _number(name, text) for name, text in typed.items()}
    with editing(user, "sandbox.limit", agent_pages.rows(), agent.pk, version) as now:
        composition.change(user, now, sandbox=values)


def _number(name: str, text: str) -> int | None:
    plain = text.replace(",", "").replace(" ", "")
    if not plain:
        return None
    if (number := whole(plain, 11)) is None:
        raise Invalid(f"{sandbox_limits.LIMITS[name].label} must be a whole number.", field=name)
    return number


def _page(
    request: HttpRequest, agent: Agent, typed: dict[str, str], version: int, *, status: int = 200, **more: Any
) -> HttpResponse:
    wrong = getattr(more.get("error"), "field", "")
    rows = [
        {"limit": limit, "value": typed.get(name, ""), "is_wrong": name == wrong}
        for name, limit in sandbox_limits.LIMITS.items()
    ]
    context = {**agent_pages.frame(person(request), agent), "rows": rows, "version": version, **more}
    return render(request, "sandboxes/limits.html", context, status=status)
