"""The page of an agent's capabilities: what each switch turns on, in words, and the switch."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from agents import agent_pages, capabilities, permissions
from agents.capabilities import State
from agents.catalogue import TRUST
from agents.errors import Conflict, Invalid, LogosError
from agents.models import Agent, User
from agents.numbers import whole
from agents.toolsets import TOOLSETS
from agents.views.access import is_htmx, person, signed_in


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def agent_capabilities(request: HttpRequest, agent_id: str) -> HttpResponse:
    """The catalogue as it stands for this agent; each form posts its switch here."""
    user = person(request)
    agent = permissions.fetch(user, "agent.view", agent_pages.rows(), pk=agent_id)
    if request.method != "POST":
        return render(request, "agents/capabilities.html", _page(user, agent))
    key = request.POST.get("key", "")
    try:
        said = _switch(user, agent, key, request.POST)
    except LogosError as error:
        if is_htmx(request) or error.reason == "not_found":
            raise
        status = 409 if isinstance(error, Conflict) else 400
        return render(request, "agents/capabilities.html", {**_page(user, agent), "error": error}, status=status)
    if is_htmx(request):
        shown = next(each for each in _page(user, agent)["shown"] if each["state"].capability.key == key)
        return render(request, "agents/_capability.html", {"each": shown, "agent": agent, "said": said})
    messages.success(request, said)
    return redirect("agents:agent-capabilities", agent.pk)


def _switch(user: User, agent: Agent, key: str, given: Any) -> str:
    """Carry out what a form asks for; a sentence about what is true now."""
    do, version = given.get("do", ""), whole(given.get("version", ""))
    name = capabilities.find(key).name
    if do == "on" and version is not None:
        capabilities.switch_on(user, agent, key, version)
        return f"{name} is on from the next message."
    if do == "off":
        capabilities.switch_off(user, agent, key)
        return f"{name} is off; what it brought is gone at the next message."
    raise Invalid("The page did not say what to change.", action="Reload it and try again.")


def _page(user: User, agent: Agent) -> dict[str, Any]:
    may_switch = bool(permissions.allows(user, "capability.switch", agent))
    may_trust = may_switch and bool(permissions.allows(user, "capability.trust", agent))
    shown = [_shown(state, may_switch, may_trust) for state in capabilities.states(agent)]
    return {
        **agent_pages.frame(user, agent, "capabilities"),
        "shown": shown,
        "groups": [
            {"trust": trust, "words": words, "shown": [each for each in shown if each["trust"] == trust]}
            for trust, words in TRUST.items()
        ],
        "on": sum(each["state"].is_on for each in shown),
    }


def _shown(state: State, may_switch: bool, may_trust: bool) -> dict[str, Any]:
    entry = state.capability
    return {
        "state": state,
        "trust": entry.trust,
        "toolsets": [(name, TOOLSETS[name], name in state.forbidden) for name in entry.toolsets],
        "hosts": [_host(host) for host in entry.hosts],
        "may_on": may_trust if entry.is_third_party else may_switch,
        "may_off": may_switch,
        "may_set": may_switch,
    }


def _host(host: str) -> str:
    return f"the address in {host[1:]}" if host.startswith("$") else host
