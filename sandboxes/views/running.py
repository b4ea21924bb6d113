"""Start a sandbox, stop it, start it anew: the buttons on its own page, and the part that follows how it goes."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agents import permissions
from agents.models import User
from agents.views.access import is_htmx, person, signed_in
from agents.views.confirming import confirmed
from sandboxes import activity, health, operating, telling
from sandboxes.models import Sandbox


@require_safe
@signed_in
def sandbox_running(request: HttpRequest, sandbox_id: str) -> HttpResponse:
    """The part alone: asked for again while something moves."""
    user = person(request)
    return _part(request, user, permissions.fetch(user, "sandbox.view", _rows(), pk=sandbox_id))


@require_POST
@signed_in
def sandbox_start(request: HttpRequest, sandbox_id: str) -> HttpResponse:
    """Have it started in the background."""
    user, row = _operated(request, sandbox_id)
    operating.start(user, row.agent)
    if is_htmx(request):
        row.refresh_from_db()
        return _part(request, user, row)
    messages.success(request, f"The sandbox of {row.agent.name} is being prepared.")
    return redirect("sandboxes:sandbox-detail", row.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def sandbox_halt(request: HttpRequest, sandbox_id: str) -> HttpResponse:
    """Asks, then ends everything in it."""
    user, row = _operated(request, sandbox_id)
    context = _question(row, f"Stop the sandbox of {row.agent.name}?", "Stop it")
    context["words"] += " The next message starts it again."
    return confirmed(
        request, context, partial(operating.stop, user, row.agent),
        done=f"The sandbox of {row.agent.name} is stopped.", to=context["back"],
    )  # fmt: skip


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def sandbox_restart(request: HttpRequest, sandbox_id: str) -> HttpResponse:
    """Asks, then ends everything in it and starts it anew."""
    user, row = _operated(request, sandbox_id)
    context = _question(row, f"Start the sandbox of {row.agent.name} anew?", "Start it anew")
    return confirmed(
        request, context, partial(operating.restart, user, row.agent),
        done=f"The sandbox of {row.agent.name} is being started anew.", to=context["back"],
    )  # fmt: skip


def part_of(user: User, row: Sandbox) -> dict[str, Any]:
    """What the part shows."""
    agent = row.agent
    said = telling.tell(row, agent.is_archived, timezone.now())
    may_operate = bool(permissions.allows(user, "sandbox.operate", agent)) and not agent.is_deleted
    may_change = may_operate and not agent.is_archived
    return {
        "row": row,
        "agent": agent,
        "may_operate": may_operate,
        "health": health.of(row, health.last_of(row)),
        "is_moving": said.is_moving,
        "may_start": may_change and not said.is_moving and said.state != "ready",
        "may_stop": may_change and said.state == "ready",
    }


def _part(request: HttpRequest, user: User, row: Sandbox) -> HttpResponse:
    return render(request, "sandboxes/_running.html", part_of(user, row))


def _question(row: Sandbox, question: str, button: str) -> dict[str, Any]:
    now = timezone.now()
    is_busy = activity.uses([row.agent_id], now)[row.agent_id].is_busy
    return {
        "question": question,
        "words": "Everything that runs in it ends, open terminals too. Its files stay.",
        "consequences": ["A run is in progress there: it ends as interrupted."] if is_busy else [],
        "button": button,
        "back": reverse("sandboxes:sandbox-detail", args=[row.pk]),
    }


def _rows() -> Any:
    return Sandbox.objects.select_related("agent__owner")


def _operated(request: HttpRequest, sandbox_id: str) -> tuple[User, Sandbox]:
    user = person(request)
    rows = _rows().filter(agent__deleted_at=None)
    return user, permissions.fetch(user, "sandbox.operate", rows, pk=sandbox_id)
