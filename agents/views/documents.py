"""The pages of an agent's documents: the list, one to edit with its versions, upload and download."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_http_methods, require_safe

from agents import agent_pages, documents, permissions
from agents.diffing import Piece, words
from agents.editing import Stale
from agents.errors import Invalid, LogosError
from agents.models import Agent, AgentDocument, User
from agents.numbers import whole
from agents.views import conflicts
from agents.views.access import person, signed_in

SHOWN_VERSIONS = 10
AROUND_CHARS = 120
MOST_SHOWN_CHARS = 3_000  # of one change
LABELS = {"text": "Text", "is_restored": "Put back before every run"}


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def agent_documents(request: HttpRequest, agent_id: str) -> HttpResponse:
    """The list; a form puts a file among them."""
    user = person(request)
    agent = _agent(user, agent_id)
    if request.method != "POST":
        return render(request, "agents/documents.html", _list_page(user, agent))
    try:
        row = _upload(user, agent, request)
    except LogosError as error:
        if error.reason == "not_found":
            raise
        kept = {"error": error, "path": request.POST.get("path", "")}
        return render(request, "agents/documents.html", {**_list_page(user, agent), **kept}, status=400)
    messages.success(request, f"{row.path} is installed before the next message.")
    return redirect("agents:agent-documents", agent.pk)


def _upload(user: User, agent: Agent, request: HttpRequest) -> AgentDocument:
    permissions.require(user, "document.edit", agent)
    file: Any = request.FILES.get("file")
    if file is None:
        raise Invalid("Choose a file first.", field="file")
    path = request.POST.get("path", "").strip() or file.name
    if file.size > documents.MAX_BYTES:
        raise Invalid(f"A document may have {documents.MAX_BYTES // 1024} KB.", field="file", reason="too_large")
    return documents.put(user, agent, path, documents.text_of(file.read()))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def document_new(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Write a new document; ``path`` in the address fills the field."""
    user = person(request)
    agent = permissions.fetch(user, "document.edit", agent_pages.rows(), pk=agent_id)
    draft: dict[str, Any] = {"path": request.GET.get("path", "").replace("\x00", "")[:200], "is_restored": True}
    if request.method == "POST":
        draft = _draft(request)
        try:
            documents.put(user, agent, draft["path"], draft["text"], is_restored=draft["is_restored"], version=0)
        except LogosError as error:
            if error.reason == "not_found":
                raise
            context = {**_frame(user, agent), "draft": draft, "error": error}
            return render(request, "agents/document.html", context, status=400)
        messages.success(request, f"{draft['path']} is installed before the next message.")
        return redirect("agents:agent-documents", agent.pk)
    return render(request, "agents/document.html", {**_frame(user, agent), "draft": draft})


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def document_detail(request: HttpRequest, agent_id: str, document_id: str) -> HttpResponse:
    """Read or edit one, and see what it was before; ``do=remove`` takes it away."""
    user = person(request)
    agent = _agent(user, agent_id)
    rows = agent.documents.select_related("agent")
    if request.method != "POST":
        row = permissions.fetch(user, "document.view", rows, pk=document_id)
        draft = {"path": row.path, "text": row.text, "is_restored": row.is_restored, "version": row.version}
        return render(request, "agents/document.html", {**_one_page(user, agent, row), "draft": draft})
    row = permissions.fetch(user, "document.edit", rows, pk=document_id)
    if request.POST.get("do") == "remove":
        documents.remove(user, agent, row.path)
        messages.success(request, f"{row.path} is no longer installed.")
        return redirect("agents:agent-documents", agent.pk)
    return _save(request, user, agent, row)


def _save(request: HttpRequest, user: User, agent: Agent, row: AgentDocument) -> HttpResponse:
    draft = {**_draft(request), "path": row.path}
    version = whole(str(draft["version"]))
    try:
        documents.put(
            user, agent, row.path, draft["text"], is_restored=draft["is_restored"],
            version=-1 if version is None else version,
        )  # fmt: skip
    except Stale as stale:
        first = conflicts.saved_first(stale, request.POST, LABELS, user)
        taken = {"path": row.path, "text": first.data.get("text", ""), "version": first.version}
        taken["is_restored"] = first.data.get("is_restored", "") == "on"
        context = {**_one_page(user, agent, stale.row), "draft": taken, "conflict": first}
        return render(request, "agents/document.html", context, status=409)
    except LogosError as error:
        context = {**_one_page(user, agent, row), "draft": draft, "error": error}
        return render(request, "agents/document.html", context, status=400)
    messages.success(request, f"{row.path} is saved; the agent has it from the next message on.")
    return redirect("agents:document-detail", agent.pk, row.pk)


@require_safe
@signed_in
def document_download(request: HttpRequest, agent_id: str, document_id: str) -> HttpResponse:
    """The text as a file."""
    user = person(request)
    row = permissions.fetch(user, "document.view", _agent(user, agent_id).documents.all(), pk=document_id)
    response = HttpResponse(row.text, content_type="text/plain; charset=utf-8")
    name = row.path.rpartition("/")[2]
    response["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _agent(user: User, agent_id: str) -> Agent:
    return permissions.fetch(user, "document.view", agent_pages.rows(), pk=agent_id)


def _draft(request: HttpRequest) -> dict[str, Any]:
    given = request.POST
    return {
        "path": given.get("path", ""),
        "text": given.get("text", ""),
        "is_restored": given.get("is_restored") == "on",
        "version": given.get("version", ""),
    }


def _frame(user: User, agent: Agent) -> dict[str, Any]:
    return {**agent_pages.frame(user, agent, "documents"), "most_kb": documents.MAX_BYTES // 1024}


def _list_page(user: User, agent: Agent) -> dict[str, Any]:
    rows = list(agent.documents.select_related("updated_by").defer("text"))
    installed = {row.path for row in rows}
    return {
        **_frame(user, agent),
        "rows": rows,
        "purposes": documents.PURPOSES,
        "offered": [(path, words) for path, words in documents.PURPOSES.items() if path not in installed],
    }


def _one_page(user: User, agent: Agent, row: AgentDocument) -> dict[str, Any]:
    kept = list(row.history.select_related("history_user")[: SHOWN_VERSIONS + 1])
    versions = [
        {"at": now.history_date, "by": now.history_user, "pieces": _brief(before.text, now.text) if before else None}
        for now, before in zip(kept, [*kept[1:], None], strict=True)
    ]
    return {
        **_frame(user, agent),
        "row": row,
        "purpose": documents.PURPOSES.get(row.path, ""),
        "versions": versions[:SHOWN_VERSIONS],
    }


def _brief(old: str, new: str) -> list[Piece]:
    """What changed, with a little of what stands around it."""
    found: list[Piece] = []
    room = MOST_SHOWN_CHARS
    for piece in words(old, new):
        text = piece.text
        if piece.kind == "same" and len(text) > 2 * AROUND_CHARS:
            text = f"{text[:AROUND_CHARS] if found else ''} … {text[-AROUND_CHARS:]}"
        found.append(Piece(piece.kind, text if len(text) <= room else f"{text[:room]} …"))
        room -= len(text)
        if room <= 0:
            break
    return found
