"""The page of an agent's secrets, and the door the set-up cards post to: values go in and are never shown."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from agents import agent_pages, agent_secrets, capabilities, permissions
from agents.catalogue import NEEDS
from agents.errors import Invalid, LogosError
from agents.models import Agent, AgentSecret, User
from agents.views.access import is_htmx, leave_to, person, signed_in


@sensitive_post_parameters("value")
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def agent_secrets_page(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Names, what each is given to, and when; forms to set, give and remove them."""
    user = person(request)
    agent = permissions.fetch(user, "secret.view", agent_pages.rows(), pk=agent_id)
    if request.method != "POST":
        return render(request, "agents/secrets.html", _page(user, agent))
    try:
        said = _change(user, agent, request)
    except LogosError as error:
        if is_htmx(request) or error.reason == "not_found":
            raise
        kept = {"error": error, "name": request.POST.get("name", ""), "field": getattr(error, "field", "")}
        return render(request, "agents/secrets.html", {**_page(user, agent), **kept}, status=400)
    messages.success(request, said)
    return leave_to(request, _back(request) or reverse("agents:agent-secrets", args=[agent.pk]))


def _change(user: User, agent: Agent, request: HttpRequest) -> str:
    """Carry out what a form asks for; a sentence about what is true now."""
    given, do = request.POST, request.POST.get("do", "")
    name = given.get("name", "").strip()
    if do == "set":
        always = given.get("always") == "on" if "asked_always" in given else None
        agent_secrets.put(user, agent, name, given.get("value", ""), always_given=always)
        return f"{name} is stored. The agent has it from the next message on, if something that is on asks for it."
    if do == "give":
        always = given.get("always") == "on"
        agent_secrets.give(user, agent, name, always=always)
        return f"{name} goes to every command now." if always else f"{name} goes only where a capability asks for it."
    if do == "remove":
        agent_secrets.remove(user, agent, name)
        return f"{name} is forgotten; the sandbox loses it before the next message."
    raise Invalid("The page did not say what to change.", action="Reload it and try again.")


def _back(request: HttpRequest) -> str:
    """Where the form was, if that is a page of this site."""
    back = request.POST.get("back", "")
    is_ours = back.startswith("/") and url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    return back if is_ours else ""


def _page(user: User, agent: Agent) -> dict[str, Any]:
    needed = capabilities.needed_by(agent)
    rows = agent.secrets.select_related("set_by").defer("sealed")
    return {
        **agent_pages.frame(user, agent, "secrets"),
        "shown": [_shown(row, needed) for row in rows],
        "missing": capabilities.missing(agent),
        "most": agent_secrets.MAX_SECRETS,
        "fewest_chars": agent_secrets.MIN_CHARS,
    }


def _shown(row: AgentSecret, needed: Any) -> dict[str, Any]:
    to = agent_secrets.receivers(row, needed)
    given = [words for receiver, words in (("tools", "a tool"), ("commands", "every command")) if receiver in to]
    known = NEEDS.get(row.name)
    return {"row": row, "given": " and ".join(given), "label": known.label if known else "", "is_given": bool(to)}
