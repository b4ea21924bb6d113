"""The page with the red button: stop everything, one agent, person or server; see what confirmed; let it go on."""

from __future__ import annotations

import unicodedata
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agents import halt_report, halting, permissions
from agents.errors import Invalid, LogosError
from agents.halts import stages_after
from agents.models import Agent, Halt, HaltScope, Stage, User
from agents.views.access import person, signed_in
from agents.views.agents import fetch

PAST = 10
TYPED = "STOP"
MOST_AGENTS = 200

# What each step lets happen, for who decides about it.
STEPS = {
    Stage.DECIDING: "Requests that wait can be decided again and get their time back. Nothing works yet.",
    Stage.CHOSEN: "Only the agents you choose work again: their queued messages, and new ones.",
    Stage.LIFTED: "Everything it stopped may go on. Queued messages begin at once.",
}


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def halts(request: HttpRequest) -> HttpResponse:
    """What is stopped, and the way to stop more."""
    user = person(request)
    scopes, error = _scopes(user), None
    given = {"scope": scopes[0][0] if scopes else "", **request.POST.dict()}
    if request.method == "POST":
        try:
            halt = _stop(user, request)
        except LogosError as problem:
            if not scopes:
                raise
            error = problem
        else:
            messages.success(request, f"{halt.name or 'Everything'} is stopped.")
            return redirect("agents:halt", halt.pk)
    seen = halting.seen_by(user)
    context = {
        "on": [_shown(user, halt) for halt in seen.filter(lifted_at=None).order_by("-pk")],
        "past": list(halting.may_lift(user).exclude(lifted_at=None)[:PAST]),
        "scopes": scopes,
        "given": given,
        "typed": TYPED,
        "most": halting.MAX_REASON,
        "error": error,
    }
    return render(request, "halts/list.html", context, status=400 if error else 200)


def _stop(user: User, request: HttpRequest) -> Halt:
    scope, subject = request.POST.get("scope", ""), request.POST.get("which", "").strip()
    if scope == HaltScope.AGENT:
        found = permissions.visible(user, Agent.objects.alive(), "agent.halt").filter(name=subject).first()
        subject = found.pk if found else subject
    if scope != HaltScope.EVERYTHING and not subject:
        raise Invalid("Say which one.", field="which")
    halting.aim(user, scope, subject, request.POST.get("reason", ""))
    if request.POST.get("typed", "").strip() != TYPED:
        raise Invalid("Nothing was stopped.", field="typed", action=f"Type {TYPED} exactly to confirm.")
    return halting.stop(user, scope, subject, request.POST.get("reason", ""))


def _scopes(user: User) -> list[tuple[str, str]]:
    """What this person may stop here. Whoever only manages agents does it on the agent's page as well."""
    return [(scope.value, scope.label) for scope in HaltScope if permissions.may(user, halting.ACTION_OF[scope])]


def _shown(user: User, halt: Halt) -> dict[str, Any]:
    return {"halt": halt, "may_lift": halting.may_lift(user).filter(pk=halt.pk).exists()}


@never_cache
@require_safe
@signed_in
def halt(request: HttpRequest, halt_id: str) -> HttpResponse:
    """One halt: what it asked to stop, what confirmed, and the steps back."""
    user = person(request)
    return _page(request, user, halting.find(user, halt_id))


@never_cache
@require_safe
@signed_in
def halt_stops(request: HttpRequest, halt_id: str) -> HttpResponse:
    """The part of that page that moves."""
    user = person(request)
    row = halting.find(user, halt_id, to_end=True)
    return render(request, "halts/_stops.html", {"halt": row, "report": halt_report.report(user, row)})


@require_POST
@signed_in
def halt_resume(request: HttpRequest, halt_id: str) -> HttpResponse:
    """Take it back by a step."""
    user = person(request)
    row = halting.find(user, halt_id, to_end=True)
    try:
        row = halting.resume(user, halt_id, request.POST.get("stage", ""), request.POST.getlist("agents"))
    except LogosError as error:
        if error.reason == "not_found":
            raise
        row.refresh_from_db()
        return _page(request, user, row, error)
    messages.success(request, f"{row.name or 'Everything'}: {row.get_stage_display().lower()}.")
    return redirect("agents:halt-list") if row.lifted_at else redirect("agents:halt", row.pk)


def _page(request: HttpRequest, user: User, row: Halt, error: LogosError | None = None) -> HttpResponse:
    may_lift = halting.may_lift(user).filter(pk=row.pk).exists()
    left = stages_after(row.scope, row.stage) if may_lift and row.is_on else ()
    agents = permissions.visible(user, Agent.objects.alive().filter(archived_at=None)) if Stage.CHOSEN in left else None
    context = {
        "halt": row,
        "may_lift": may_lift,
        "report": halt_report.report(user, row) if may_lift else None,
        "steps": [(stage, Stage(stage).label, STEPS[Stage(stage)]) for stage in left],
        "agents": [] if agents is None else list(agents.order_by("name").only("pk", "name")[:MOST_AGENTS]),
        "chosen": list(permissions.visible(user, Agent.objects.filter(pk__in=row.chosen)).order_by("name")),
        "error": error,
    }
    return render(request, "halts/detail.html", context, status=409 if error else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def agent_stop(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Stop one agent, once its name was typed."""
    user = person(request)
    agent, error = fetch(user, agent_id, "agent.halt"), None
    if request.method == "POST":
        if unicodedata.normalize("NFC", request.POST.get("typed", "").strip()) == agent.name:
            row = halting.stop(user, HaltScope.AGENT, agent.pk, request.POST.get("reason", "")[: halting.MAX_REASON])
            messages.success(request, f"{agent.name} is stopped.")
            return redirect("agents:halt", row.pk)
        error = Invalid(f"{agent.name} was not stopped.", field="typed", action="Type its name exactly to confirm.")
    context = {
        "question": f"Stop {agent.name}?",
        "button": f"Stop {agent.name} now",
        "consequences": [
            "What it does right now is stopped, for everybody: runs, model calls, connections, terminals.",
            "New messages are refused, and what is queued waits until somebody resumes it.",
            "Nothing is deleted.",
        ],
        "typed": agent.name,
        "back": reverse("agents:agent-detail", args=[agent.pk]),
        "error": error,
    }
    return render(request, "_confirm.html", context, status=400 if error else 200)
