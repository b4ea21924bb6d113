"""The page of an agent's notes: what it keeps for later, who wrote each, and forms to write, change and take away."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from agents import agent_pages, notes, permissions
from agents.editing import Stale
from agents.errors import LogosError
from agents.models import Agent, User
from agents.numbers import whole
from agents.views.access import person, signed_in


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def agent_notes(request: HttpRequest, agent_id: str) -> HttpResponse:
    """All notes; ``do`` is write, change or remove. What was typed survives a refusal."""
    user = person(request)
    agent = permissions.fetch(user, "note.view", agent_pages.rows(), pk=agent_id)
    if request.method != "POST":
        return render(request, "agents/notes.html", _page(user, agent))
    given = request.POST
    try:
        said = _done(user, agent, given.get("do", ""), given)
    except LogosError as error:
        if error.reason in ("not_found", "forbidden"):
            raise
        kept = {"error": error, "at": given.get("note", ""), "text": given.get("text", "")}
        status = 409 if isinstance(error, Stale) else 400
        return render(request, "agents/notes.html", {**_page(user, agent), **kept}, status=status)
    messages.success(request, said)
    return redirect("agents:agent-notes", agent.pk)


def _done(user: User, agent: Agent, do: str, given: Any) -> str:
    note, text = given.get("note", ""), given.get("text", "")
    if do == "remove":
        notes.remove(user, agent.pk, note)
        return "The note is gone."
    if do == "change":
        version = whole(given.get("version", ""))
        notes.change(user, agent.pk, note, text, -1 if version is None else version)
        return "The note is changed."
    notes.write(user, agent, text)
    return f"{agent.name} finds the note when it recalls."


def _page(user: User, agent: Agent) -> dict[str, Any]:
    rows = list(notes.of(agent.pk))
    may_edit = bool(permissions.allows(user, "note.edit", agent)) and not agent.is_deleted
    shown = {"notes": rows, "left": max(0, notes.room(rows)), "most": notes.MOST_CHARS, "may_edit": may_edit}
    return {**agent_pages.frame(user, agent, "notes"), **shown}
