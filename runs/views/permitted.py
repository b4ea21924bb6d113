"""The page of what a run was permitted: its frozen rules, the walls around it, and one connection tried on them."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from agents.errors import LogosError
from agents.views.access import person, signed_in
from agents.views.policies import Attempt
from runs import permitted, withheld
from runs.views.activity import frame_of, seen_run


@require_safe
@signed_in
def run_permissions(request: HttpRequest, run_id: str) -> HttpResponse:
    """Rules by where they stood; what is otherwise now; whether one connection would have been let through."""
    user = person(request)
    run, reader = seen_run(user, run_id), withheld.Reader(user)
    attempt = Attempt(request.GET) if request.GET.get("host") else Attempt()
    verdict, refused = None, None
    if attempt.is_valid():
        try:
            verdict = permitted.attempt(user, run, **attempt.cleaned_data)
        except LogosError as error:
            refused = error
    extra = {
        "had": permitted.told(user, run, reader),
        "attempt": attempt,
        "verdict": verdict,
        "refused": refused,
    }
    return render(request, "runs/permissions.html", {**frame_of(request, run, "permissions", reader), **extra})
