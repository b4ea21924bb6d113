"""The pages of a sandbox's terminal and of those before it. What is typed and shown goes over a websocket, see
``channels_app.shells``."""

from __future__ import annotations

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from agents import permissions
from agents.models import User
from agents.views.access import person, signed_in
from sandboxes import shells, transcripts
from sandboxes.models import Sandbox

SHOWN_CHARS = 30_000


@require_safe
@signed_in
def sandbox_shell(request: HttpRequest, sandbox_id: str) -> HttpResponse:
    """A terminal in it, while it runs."""
    _, row = _fetched(request, sandbox_id)
    context = {"row": row, "agent": row.agent, "is_running": async_to_sync(shells.is_running)(row)}
    return render(request, "sandboxes/shell.html", context)


@require_safe
@signed_in
def sandbox_shells(request: HttpRequest, sandbox_id: str) -> HttpResponse:
    """The terminals people had open in it."""
    user, row = _fetched(request, sandbox_id)
    after = "".join(char for char in request.GET.get("after", "")[:40] if char.isalnum() or char == "_")
    found, following = transcripts.sessions(user, row, after)
    page = {"next": f"?after={following}" if following else "", "first": "?" if after else ""}
    return render(request, "sandboxes/shells.html", {"row": row, "agent": row.agent, "sessions": found, "page": page})


@require_safe
@signed_in
def sandbox_transcript(request: HttpRequest, sandbox_id: str, name: str) -> HttpResponse:
    """What one showed; the whole of it as a file with ``whole``."""
    user, row = _fetched(request, sandbox_id)
    session = transcripts.session(user, row, name)
    text = transcripts.text(row, name)
    if "whole" in request.GET:
        response = HttpResponse(text, content_type="text/plain; charset=utf-8")
        response["Content-Disposition"] = content_disposition_header(True, name)
        response["Cache-Control"] = "private, no-store"
        return response
    shown = text[:SHOWN_CHARS]
    context = {"row": row, "agent": row.agent, "session": session, "shown": shown, "is_cut": len(text) > len(shown)}
    return render(request, "sandboxes/transcript.html", context)


def _fetched(request: HttpRequest, sandbox_id: str) -> tuple[User, Sandbox]:
    user = person(request)
    rows = Sandbox.objects.select_related("agent").filter(agent__deleted_at=None)
    return user, permissions.fetch(user, "sandbox.shell", rows, pk=sandbox_id)
