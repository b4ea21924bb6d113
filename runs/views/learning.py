"""Learning: begin it, end it, and the page that proposes rules from what was recorded and stores them with one click."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from agents import agent_pages, learning, permissions
from agents.editing import Stale
from agents.errors import LogosError
from agents.models import Agent, User
from agents.numbers import whole
from agents.views.access import person, signed_in
from agents.views.forms import in_words
from runs import learned, proposed_rules, reach

MAX_TEXT = 200_000


class Beginning(forms.Form):
    """For which policy an agent learns, and how long."""

    policy = forms.CharField(max_length=60)
    minutes = forms.IntegerField(min_value=1, max_value=learning.MOST_MINUTES)


@require_POST
@signed_in
def learning_start(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Begin."""
    user = person(request)
    agent = permissions.fetch(user, "agent.learn", agent_pages.rows(), pk=agent_id)
    form = Beginning(request.POST)
    if not form.is_valid():
        messages.error(request, f"Say for which policy, and for how long: 1 to {learning.MOST_MINUTES:,} minutes.")
        return redirect("runs:agent-reach", agent_id)
    try:
        learning.start(user, agent_id, form.cleaned_data["policy"], form.cleaned_data["minutes"])
    except LogosError as error:
        if error.reason == "not_found":
            raise
        messages.error(request, in_words(error))
    else:
        messages.success(request, f"{agent.name} learns. Let it do its work, then look at what it needed.")
    return redirect("runs:agent-reach", agent_id)


@require_POST
@signed_in
def learning_stop(request: HttpRequest, agent_id: str) -> HttpResponse:
    """End it before its time."""
    user = person(request)
    try:
        learning.stop(user, agent_id)
    except LogosError as error:
        if error.reason == "not_found":
            raise
        messages.error(request, in_words(error))
        return redirect("runs:agent-reach", agent_id)
    messages.success(request, "It learns no more: only its rules count again.")
    return redirect("runs:agent-reach", agent_id)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def agent_proposal(request: HttpRequest, agent_id: str) -> HttpResponse:
    """What rules would cover what was recorded, how the policy would change, and a button that stores it."""
    user = person(request)
    agent: Agent = permissions.fetch(user, "agent.view", agent_pages.rows(), pk=agent_id)
    given = request.POST if request.method == "POST" else request.GET
    policy = learning.require_policy(user, agent, given.get("policy", "").replace("\x00", ""))
    source = "denied" if given.get("source") == "denied" else "learned"
    error: LogosError | None = None
    if request.method == "POST":
        try:
            version, lines = whole(given.get("version", "")) or 0, given.get("lines", "")[:MAX_TEXT].splitlines()
            if given.get("send"):
                proposed_rules.send(user, agent.pk, policy.pk, lines, given.get("why", "").replace("\x00", "")[:500])
                messages.success(request, f"Sent to whoever may change {policy.name}.")
                return redirect("runs:agent-reach", agent_id)
            learned.store(user, policy, version, lines)
        except Stale as stale:
            policy, error = stale.row, stale
        except LogosError as refused:
            if refused.reason == "not_found":
                raise
            error = refused
        else:
            messages.success(request, f"The rules are in {policy.name}, and count from now on.")
            return redirect("runs:agent-reach", agent_id)
    return _page(request, user, agent, learned.proposed(user, agent, policy, source), error)  # type: ignore[arg-type]


def _page(
    request: HttpRequest, user: User, agent: Agent, proposed: learned.Proposed, error: LogosError | None
) -> HttpResponse:
    editable = learning.choices(user, agent)
    context: dict[str, Any] = {
        **agent_pages.frame(user, agent, "reach"),
        "proposed": proposed,
        "policies": editable or learning.readable(user, agent),
        "may_edit": bool(editable),
        "last": learning.last(agent.pk),
        "sees_all": reach.sees_all(user, agent),
        "outcome": proposed.outcome,
        "error": error,
        "denied_days": learned.DENIED_DAYS,
    }
    status = 200 if error is None else 409 if isinstance(error, Stale) else 400
    return render(request, "runs/proposal.html", context, status=status)
