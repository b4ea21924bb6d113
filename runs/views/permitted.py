"""The page of what a run was permitted, with one connection tried on its frozen rules; the same on an agent's rules now."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from agents import agent_pages, permissions
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


@require_safe
@signed_in
def agent_try(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Whether one connection would be let through now, by all policies and capabilities of the agent together."""
    user = person(request)
    agent = permissions.fetch(user, "agent.view", agent_pages.rows(), pk=agent_id)
    attempt = Attempt(request.GET) if request.GET.get("host") else Attempt()
    verdict = permitted.attempt_now(user, agent, **attempt.cleaned_data) if attempt.is_valid() else None
    context = {**agent_pages.frame(user, agent, "reach"), "attempt": attempt, "verdict": verdict}
    return render(request, "runs/agent_try.html", context)
