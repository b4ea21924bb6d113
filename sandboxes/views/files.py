"""The pages of the files in an agent's workspace: browse, look, download, upload, move, delete."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlencode

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_http_methods, require_safe

from agents import agent_pages, permissions
from agents.errors import Invalid, LogosError
from agents.models import Agent, User
from agents.views.access import person, signed_in
from sandboxes import file_names, files, highlighting
from sandboxes.workspace import Opened

# Whatever an agent wrote: it runs nothing, loads nothing, and is on no page of ours.
SANDBOXED = "default-src 'none'; sandbox; frame-ancestors 'none'"


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def agent_files(request: HttpRequest, agent_id: str) -> HttpResponse:
    """A directory; its forms put a file or a directory into it."""
    user = person(request)
    agent = _agent(user, agent_id)
    path = request.GET.get("path", "")
    if request.method != "POST":
        return render(request, "sandboxes/files.html", _directory(user, agent, path, request.GET.get("after", "")))
    try:
        said = _change(user, agent, path, request)
    except LogosError as error:
        if error.reason == "not_found":
            raise
        kept = {"error": error, "typed": request.POST.get("name", "")}
        status = 413 if error.reason == "too_large" else 400
        return render(request, "sandboxes/files.html", {**_directory(user, agent, path), **kept}, status=status)
    messages.success(request, said)
    return redirect(_address("agent-files", agent, path))


def _change(user: User, agent: Agent, path: str, request: HttpRequest) -> str:
    permissions.require(user, "workspace.write", agent)
    if request.POST.get("do") == "directory":
        entry = files.make_directory(user, agent, _inside(path, request.POST.get("name", "")))
        return f"{entry.name} is there."
    file: Any = request.FILES.get("file")
    if file is None:
        raise Invalid("Choose a file first.", field="file")
    name = request.POST.get("name", "").strip() or file_names.written(file.name.encode())
    replace = request.POST.get("replace") == "on"
    entry = files.upload(user, agent, _inside(path, name), file.chunks(), replace=replace)
    return f"{entry.name} is in the workspace."


@require_safe
@signed_in
def file_view(request: HttpRequest, agent_id: str) -> HttpResponse:
    """The beginning of a file, if it is a text or a picture."""
    user = person(request)
    agent = _agent(user, agent_id)
    shown = files.show(user, agent, request.GET.get("path", ""))
    context = {
        **_frame(user, agent, shown.entry.path),
        "shown": shown,
        "html": None if shown.text is None else highlighting.html(shown.entry.name, shown.text),
        "shown_kb": files.SHOWN_BYTES // 1024,
        "can_download": shown.entry.size <= files.downloads_most(),
    }
    return render(request, "sandboxes/file.html", context)


@require_safe
@signed_in
def file_raw(request: HttpRequest, agent_id: str) -> HttpResponseBase:
    """The file itself, to keep; a picture may be drawn in its page with ``inline``."""
    user = person(request)
    opened = files.download(user, _agent(user, agent_id), request.GET.get("path", ""))
    return as_response(request, opened, may_draw="inline" in request.GET)


def as_response(request: HttpRequest, opened: Opened, *, may_draw: bool = False) -> StreamingHttpResponse:
    """Send a file of an agent's so that nothing in it can act: no type but a picture's, sandboxed, never guessed."""
    kind = files.picture_type(os.pread(opened.descriptor, 16, 0)) if may_draw else ""
    pieces: Any = opened.pieces()
    if isinstance(request, ASGIRequest):
        pieces = _by_thread(pieces)  # else Django would gather all of it first
    response = StreamingHttpResponse(pieces, content_type=kind or "application/octet-stream")
    response["Content-Length"] = str(opened.entry.size)
    response["Accept-Ranges"] = "none"  # a file that is written meanwhile has no parts that fit together
    name = opened.entry.name
    response["Content-Disposition"] = content_disposition_header(not kind, name) or "attachment"
    response["Content-Security-Policy"] = SANDBOXED
    response["X-Content-Type-Options"] = "nosniff"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    response["Cache-Control"] = "private, no-store"
    return response


async def _by_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    read = sync_to_async(lambda: next(pieces, b""), thread_sensitive=False)
    try:
        while piece := await read():
            yield piece
    finally:
        pieces.close()  # type: ignore[attr-defined]


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def file_delete(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Asks, then deletes."""
    user = person(request)
    agent = _agent(user, agent_id, "workspace.write")
    path = request.GET.get("path", "")
    with files.workspace_of(agent) as workspace:
        entry = workspace.find(path)
    back = _address("agent-files", agent, _above(entry.path))
    context: dict[str, Any] = {
        "question": f"Delete {entry.name}?",
        "words": "It is deleted with all that is in it. There is no copy."
        if entry.kind == "directory"
        else "There is no copy.",
        "button": f"Delete {entry.name}",
        "back": back,
    }
    if request.method != "POST":
        return render(request, "_confirm.html", context)
    try:
        files.remove(user, agent, path)
    except LogosError as error:
        return render(request, "_confirm.html", {**context, "error": error}, status=400)
    messages.success(request, f"{entry.name} is deleted.")
    return redirect(back)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def file_move(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Another name or place."""
    user = person(request)
    agent = _agent(user, agent_id, "workspace.write")
    with files.workspace_of(agent) as workspace:
        entry = workspace.find(request.GET.get("path", ""))
    context = {**_frame(user, agent, entry.path), "entry": entry, "to": request.POST.get("to", entry.path)}
    if request.method != "POST":
        return render(request, "sandboxes/file_move.html", context)
    try:
        moved = files.move(user, agent, entry.path, request.POST.get("to", ""))
    except LogosError as error:
        return render(request, "sandboxes/file_move.html", {**context, "error": error}, status=400)
    messages.success(request, f"{entry.name} is {moved.path} now.")
    return redirect(_address("agent-files", agent, _above(moved.path)))


def _agent(user: User, agent_id: str, action: str = "workspace.view") -> Agent:
    return permissions.fetch(user, action, agent_pages.rows(), pk=agent_id)


def _address(name: str, agent: Agent, path: str) -> str:
    at = reverse(f"sandboxes:{name}", args=[agent.pk])
    return f"{at}?{urlencode({'path': path})}" if path else at


def _inside(path: str, name: str) -> str:
    return f"{path}/{name}" if name.strip() else ""


def _above(path: str) -> str:
    return path.rpartition("/")[0]


def _frame(user: User, agent: Agent, path: str) -> dict[str, Any]:
    parts = file_names.parsed(path)
    crumbs = [
        {"name": file_names.shown(part), "url": _address("agent-files", agent, file_names.joined(parts[: number + 1]))}
        for number, part in enumerate(parts)
    ]
    return {
        **agent_pages.frame(user, agent, "files"),
        "path": file_names.joined(parts),
        "crumbs": crumbs,
        "may_write": bool(permissions.allows(user, "workspace.write", agent)),
    }


def _directory(user: User, agent: Agent, path: str, after: str = "") -> dict[str, Any]:
    context = {**_frame(user, agent, path), "most_mb": files.uploads_most() // files.MEGABYTE}
    try:
        found = files.listing(user, agent, path, after)
    except LogosError as error:
        if path or error.reason not in ("not_found", "not_supported"):
            raise
        return {**context, "nothing": error}
    query = {"path": found.path} if found.path else {}
    page = {
        "next": f"?{urlencode({**query, 'after': found.next})}" if found.next else "",
        "first": f"?{urlencode(query)}" if after else "",
    }
    return {**context, "listing": found, "page": page}
