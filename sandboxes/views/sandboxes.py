"""The sandbox on the page of its agent, with its two buttons; and its own page: how it is, and what it wrote."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from agents import permissions
from agents.agent_secrets import known_values
from agents.models import Agent, User
from agents.views.access import person, signed_in
from sandboxes import health, keeping, logs, operating, telling
from sandboxes.models import Sandbox
from sandboxes.views import running


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
    user = person(request)
    agent = _agent(user, agent_id, "sandbox.operate")
    operating.start(user, agent)
    messages.success(request, f"The sandbox of {agent.name} is being prepared.")
    return redirect("agents:agent-detail", agent.pk)


@require_POST
@signed_in
def sandbox_stop(request: HttpRequest, agent_id: str) -> HttpResponse:
    """End everything in it; files stay."""
    user = person(request)
    agent = _agent(user, agent_id, "sandbox.operate")
    operating.stop(user, agent)
    messages.success(request, f"The sandbox of {agent.name} is stopped. Its files stay; the next message starts it.")
    return redirect("agents:agent-detail", agent.pk)


@require_safe
@signed_in
def sandbox_detail(request: HttpRequest, sandbox_id: str) -> HttpResponse:
    """How it is, how it was during the last day, and the end of what it wrote for whoever may operate it."""
    user = person(request)
    row = permissions.fetch(user, "sandbox.view", _rows(), pk=sandbox_id)
    part = running.part_of(user, row)
    samples = health.samples_of(row)
    context = {
        **part,
        "may_shell": bool(permissions.allows(user, "sandbox.shell", row.agent)) and not row.agent.is_deleted,
        "series": health.series(samples),
        "has_samples": bool(samples),
        "idle_minutes": settings.LOGOS_IDLE_STOP_MINUTES,
    }
    if part["may_operate"]:
        log = logs.LOGS.get(request.GET.get("log", ""), logs.which(""))
        context["log"] = logs.tail(row, log, known=known_values(row.agent))
        context["logs"] = logs.LOGS.values()
    return render(request, "sandboxes/detail.html", context)


@require_POST
@signed_in
def sandbox_keep(request: HttpRequest, sandbox_id: str) -> HttpResponse:
    """Keep it running although nobody uses it, or no longer."""
    row = permissions.fetch(person(request), "sandbox.operate", _rows().filter(agent__deleted_at=None), pk=sandbox_id)
    keep = request.POST.get("keep") == "yes"
    keeping.set_to(row, keep)
    messages.success(
        request, "It is kept running from now on." if keep else "It is stopped when nobody uses it, like others."
    )
    return redirect("sandboxes:sandbox-detail", row.pk)


def _rows() -> QuerySet[Sandbox]:
    return Sandbox.objects.select_related("agent__owner")


def _agent(user: User, agent_id: str, action: str) -> Agent:
    return permissions.fetch(user, action, Agent.objects.alive(), pk=agent_id)
