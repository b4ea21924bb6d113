"""The page of what a run changed in its agent's workspace, or of what differs between two runs."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from agents.views.access import person, signed_in
from runs import leavings
from runs.views.activity import frame_of, seen_run


@require_safe
@signed_in
def run_files(request: HttpRequest, run_id: str) -> HttpResponse:
    """Compared with the run before it, or with the one named by ``with``."""
    user = person(request)
    run = seen_run(user, run_id)
    other_id = request.GET.get("with", "")
    extra = {
        "found": leavings.compared(user, run, other_id),
        "others": leavings.others(user, run),
        "other_id": other_id,
    }
    return render(request, "runs/files.html", {**frame_of(request, run, "files"), **extra})
