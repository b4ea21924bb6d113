"""What a person does to a run that goes on or has ended: stop it, ask for a host it was refused, clone it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from agents import permissions
from agents.errors import LogosError
from agents.numbers import whole
from agents.views.access import is_htmx, person, signed_in
from agents.views.forms import in_words
from runs import asked_hosts, dispatch
from runs.models import Run


@require_POST
@signed_in
def cancel(request: HttpRequest, run_id: str) -> HttpResponse:
    """Ask a run to stop."""
    run = permissions.fetch(person(request), "run.cancel", Run.objects.all(), pk=run_id)
    run = dispatch.cancel(person(request), run)
    if is_htmx(request):
        return render(request, "runs/_stop.html", {"active_run": run})
    return redirect("runs:chat-conversation", run.conversation_id)


@require_POST
@signed_in
def ask_for_host(request: HttpRequest, run_id: str) -> HttpResponse:
    """Ask operators for a host that the run was refused."""
    user = person(request)
    run = permissions.fetch(user, "run.approve", Run.objects.all(), pk=run_id)
    host, port = request.POST.get("host", "").replace("\x00", "")[:253], whole(request.POST.get("port", ""), 5) or 0
    try:
        asked = asked_hosts.ask_for(user, run.pk, host, port)
    except LogosError as error:
        if is_htmx(request) or error.reason == "not_found":
            raise
        messages.error(request, in_words(error))
    else:
        if is_htmx(request):
            return render(request, "runs/_asked_host.html", {"asked": asked})
        messages.success(request, f"Asked for {asked.exact.splitlines()[0]}. Whoever manages the agent decides.")
    return redirect("runs:run-detail", run.pk)


@require_POST
@signed_in
def clone(request: HttpRequest, run_id: str) -> HttpResponse:
    """Send a run's message again in a new chat."""
    user = person(request)
    run = permissions.fetch(user, "run.clone", Run.objects.select_related("agent", "message"), pk=run_id)
    started = dispatch.clone(user, run)
    return redirect("runs:chat-conversation", started.run.conversation_id)
