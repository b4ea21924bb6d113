"""What a person does to a run that goes on or has ended: stop it, decide what it asks, clone it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from agents import permissions
from agents.errors import LogosError
from agents.numbers import whole
from agents.views.access import is_htmx, person, signed_in
from agents.views.forms import in_words
from runs import approvals, asked_hosts, dispatch, rendering
from runs.models import Run
from runs.rendering import RunRef
from runs.timeline import Question
from runs.views import parts


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
def decide(request: HttpRequest, approval_id: str) -> HttpResponse:
    """Allow a command once, or refuse it."""
    user = person(request)
    approval = approvals.find(user, approval_id)
    choice, note = request.POST.get("choice", ""), request.POST.get("note", "")
    approval = approvals.decide(user, approval, choice, subject_hash=request.POST.get("subject", ""), note=note)
    run = approval.run
    if run is None:
        return redirect("/")
    if not is_htmx(request):
        return redirect("runs:chat-conversation", run.conversation_id)
    view = request.POST.get("view", "")
    item = Question(
        f"question-{approval.pk}",
        0,
        approval.created_at,
        approval_id=approval.pk,
        asked=approval.kind,
        tier=approval.tier,
        command=approval.exact,
        description=approval.title,
        choice=choice,
        by=parts.name_of(user),
        note=approval.note,
    )
    view = view if view in rendering.VIEWS else "chat"
    return HttpResponse(rendering.item_html(RunRef.of(run), item, view, get_token(request)))


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
