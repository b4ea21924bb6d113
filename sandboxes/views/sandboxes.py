"""The sandbox on the page of its agent: its state, asked for again while something happens, and its two buttons."""

from __future__ import annotations

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from agents import permissions, preparing
from agents.models import Agent, User
from agents.views.access import person, signed_in
from sandboxes import lifecycle, telling


@require_safe
@signed_in
def sandbox_part(request: HttpRequest, agent_id: str) -> HttpResponse:
    """The section alone."""
    user = person(request)
    agent = _agent(user, agent_id, "sandbox.view")
    return render(request, "sandboxes/_section.html", {"agent": agent, "part": telling.told(user, agent)})


@require_POST
@signed_in
def sandbox_prepare(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Start it in the background."""
    agent = _agent(person(request), agent_id, "sandbox.operate")
    preparing.ask(agent, True)
    messages.success(request, f"The sandbox of {agent.name} is being prepared.")
    return redirect("agents:agent-detail", agent.pk)


@require_POST
@signed_in
def sandbox_stop(request: HttpRequest, agent_id: str) -> HttpResponse:
    """End everything in it; files stay."""
    agent = _agent(person(request), agent_id, "sandbox.operate")
    async_to_sync(lifecycle.stop)(agent.pk)
    messages.success(request, f"The sandbox of {agent.name} is stopped. Its files stay; the next message starts it.")
    return redirect("agents:agent-detail", agent.pk)


def _agent(user: User, agent_id: str, action: str) -> Agent:
    return permissions.fetch(user, action, Agent.objects.alive(), pk=agent_id)
