"""Put an agent into the archive, take it out again, delete it."""

from __future__ import annotations

import unicodedata

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from agents import agent_pages, retiring
from agents.errors import Invalid, LogosError
from agents.models import Agent
from agents.views.access import person, signed_in
from agents.views.agents import fetch


@require_POST
@signed_in
def agent_archive(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Nobody can message it; everything stays readable."""
    agent = retiring.archive(person(request), agent_id)
    messages.success(request, f"{agent.name} is archived. What it did is stopped, and its sandbox ends.")
    return redirect("agents:agent-detail", agent.pk)


@require_POST
@signed_in
def agent_unarchive(request: HttpRequest, agent_id: str) -> HttpResponse:
    """It answers again."""
    agent = retiring.unarchive(person(request), agent_id)
    messages.success(request, f"{agent.name} is in use again. Its first message starts its sandbox.")
    return redirect("agents:agent-detail", agent.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def agent_delete(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Says what goes and what stays; deletes once the agent's name was typed."""
    user = person(request)
    agent = fetch(user, agent_id, "agent.manage")
    if request.method != "POST":
        return _asked(request, agent)
    if unicodedata.normalize("NFC", request.POST.get("typed", "").strip()) != agent.name:
        refusal = Invalid(f"{agent.name} was not deleted.", field="typed", action="Type its name exactly to confirm.")
        return _asked(request, agent, refusal)
    retiring.delete(user, agent.pk)
    messages.success(request, f"{agent.name} is deleted. Its files are removed in the background.")
    return redirect("agents:agent-list")


def _asked(request: HttpRequest, agent: Agent, error: LogosError | None = None) -> HttpResponse:
    context = {
        "question": f"Delete agent {agent.name}?",
        "button": f"Delete agent {agent.name}",
        "words": "This cannot be undone. An agent that is only to rest can be archived instead.",
        "consequences": agent_pages.losses(agent),
        "typed": agent.name,
        "back": reverse("agents:agent-detail", args=[agent.pk]),
        "error": error,
    }
    return render(request, "_confirm.html", context, status=400 if error else 200)
