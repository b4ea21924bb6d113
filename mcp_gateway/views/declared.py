"""Pages of servers as a file: paste or upload one, look at what it would change, carry it out; and download one."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from agents import permissions
from agents.errors import Conflict, Invalid, LogosError
from agents.views.access import person, signed_in
from mcp_gateway.declared import plan as planning
from mcp_gateway.declared import writing
from mcp_gateway.declared.text import LONGEST

LOOKS = {planning.ADD: "ok", planning.CHANGE: "running", planning.SAME: "stopped", planning.WAITS: "waiting"}
WORDS = {planning.ADD: "new", planning.CHANGE: "changes", planning.SAME: "stays", planning.WAITS: "waits"}


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def server_file(request: HttpRequest) -> HttpResponse:
    """What is typed or uploaded is planned first; the plan that was looked at is what is carried out."""
    user = person(request)
    permissions.require(user, "server.create")
    context: dict[str, Any] = {"most": LONGEST}
    status = 200
    if request.method == "POST":
        context["text"] = request.POST.get("text", "")
        digest = request.POST.get("digest", "") if request.POST.get("do") == "apply" else None
        try:
            context["text"] = text = _given(request)
            if digest is not None:
                done = planning.apply(user, text, digest=digest)
                messages.success(request, _told(done))
                return redirect("mcp:server-list")
            context |= _planned(planning.plan(user, text))
        except LogosError as error:
            context["error"], status = error, _status(error)
            if error.reason == "stale":
                context |= _planned(planning.plan(user, context["text"]))
    return render(request, "mcp/file.html", context, status=status)


@never_cache
@require_safe
@signed_in
def server_export(request: HttpRequest) -> HttpResponse:
    """The servers this person sees, as such a file."""
    answer = HttpResponse(writing.exported(person(request)), content_type="application/yaml; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="mcp-servers.yaml"'
    return answer


def _status(error: LogosError) -> int:
    return 409 if isinstance(error, Conflict) else 403 if error.reason == "forbidden" else 400


def _given(request: HttpRequest) -> str:
    file: Any = request.FILES.get("file")
    if file is None:
        # Browsers send two characters for the end of a line.
        return request.POST.get("text", "").replace("\r\n", "\n")
    if file.size > LONGEST * 4:
        raise Invalid(f"A file has at most {LONGEST:,} characters.", field="file")
    try:
        found: str = file.read().decode()
    except ValueError as error:
        raise Invalid("This file is no text.", field="file") from error
    return found


def _planned(plan: planning.Plan) -> dict[str, Any]:
    steps = [
        {"step": each, "lines": "\n".join(each.lines), "look": LOOKS[each.verb], "word": WORDS[each.verb]}
        for each in plan.steps
    ]
    return {"plan": plan, "steps": steps}


def _told(plan: planning.Plan) -> str:
    waits = sum(step.verb == planning.WAITS for step in plan.steps)
    rest = (
        f" {waits} waits for a second person." if waits == 1 else f" {waits} wait for a second person." if waits else ""
    )
    return f"The file is applied; changes: {plan.changes - waits}.{rest}"
