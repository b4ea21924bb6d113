"""The page of a sandbox's terminal. What is typed and shown goes over a websocket, see ``channels_app.shells``."""

from __future__ import annotations

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from agents import permissions
from agents.views.access import person, signed_in
from sandboxes import shells
from sandboxes.models import Sandbox


@require_safe
@signed_in
def sandbox_shell(request: HttpRequest, sandbox_id: str) -> HttpResponse:
    """A terminal in it, while it runs."""
    rows = Sandbox.objects.select_related("agent").filter(agent__deleted_at=None)
    row = permissions.fetch(person(request), "sandbox.shell", rows, pk=sandbox_id)
    context = {"row": row, "agent": row.agent, "is_running": async_to_sync(shells.is_running)(row)}
    return render(request, "sandboxes/shell.html", context)
