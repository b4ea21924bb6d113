"""An agent's reach: what it may reach and by which rule, what it asked for, what was refused, what it never needed."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from agents import agent_pages, learning, permissions
from agents.actions import ACTIONS
from agents.errors import LogosError
from agents.models import Policy
from agents.numbers import whole
from agents.past import kinds, reverting
from agents.standing import reasons
from agents.views import listing
from agents.views.access import person, signed_in
from agents.views.listing import Choice, Filters
from runs import reach
from sandboxes.egress import usage

# The last pruning of this browser, which one click undoes.
PRUNED = "pruned_policy"


@require_safe
@signed_in
def agent_reach(request: HttpRequest, agent_id: str) -> HttpResponse:
    """The page."""
    user = person(request)
    rows_of = agent_pages.rows().annotate(learns_until=learning.until_of_each())
    agent = permissions.fetch(user, "agent.view", rows_of, pk=agent_id)
    frame = agent_pages.frame(user, agent, "reach")
    all_of_it = bool(reasons(ACTIONS["egress.view"], frame["standing"]))
    state = Choice("decision", "Decision", (("allowed", "let through"), ("denied", "refused")))
    since = Choice("since", "Since", (), is_date=True)
    run = Choice("run", "Run", (), is_text=True)
    filters = Filters(request.GET, state, since, run, hint="Host or program")
    seen = reach.decisions(user, agent, all_of_it)
    rows = filters.search(seen, "host", "binary")
    if state.value:
        rows = rows.filter(allowed=state.value == "allowed")
    if since.value:
        rows = rows.filter(at__date__gte=since.value)
    if run.value:
        rows = rows.filter(run_id=run.value)
    found = reach.overview(user, agent, seen)
    context: dict[str, Any] = {
        **frame,
        "sources": found.sources,
        "hides": found.hides,
        "denied": found.denied,
        "filters": filters,
        "page": listing.page(rows, filters),
        "unused": [each for each in found.unused if each.unused or each.presets],
        "pruned": request.session.get(PRUNED),
        "sees_all": all_of_it,
        "learnable": [each.policy for each in found.sources if each.may_edit and each.policy],
        "proposable": found.denied and any(each.policy for each in found.sources),
        "most_minutes": learning.MOST_MINUTES,
    }
    return render(request, "runs/reach.html", context)


@require_POST
@signed_in
def prune(request: HttpRequest, policy_id: str) -> HttpResponse:
    """Take unused rules out of a policy; the page offers to put them back."""
    user = person(request)
    permissions.fetch(user, "policy.edit", Policy.objects.all(), pk=policy_id)
    back = _back(request, policy_id)
    before = kinds.find(user, "policy", policy_id).records.count()
    try:
        policy = usage.prune(
            user,
            policy_id,
            whole(request.POST.get("version", "")) or 0,
            request.POST.getlist("rule"),
            preset_ids=request.POST.getlist("preset"),
        )
    except LogosError as error:
        if error.reason == "not_found":
            raise
        messages.error(request, f"{error.message} {error.action}".strip())
        return back
    request.session[PRUNED] = {"policy": policy_id, "name": policy.name, "to": before}
    messages.success(request, f"{policy.name} is shorter now.")
    return back


@require_POST
@signed_in
def unprune(request: HttpRequest, policy_id: str) -> HttpResponse:
    """Put back what this browser pruned last, if nobody has changed the policy since."""
    user = person(request)
    permissions.fetch(user, "policy.edit", Policy.objects.all(), pk=policy_id)
    kept = request.session.get(PRUNED)
    if not kept or kept["policy"] != policy_id:
        messages.error(request, "There is nothing to put back any more.")
        return _back(request, policy_id)
    try:
        reverting.revert(user, "policy", policy_id, kept["to"], kept["to"] + 1, "unused rules put back")
    except LogosError as error:
        if error.reason == "not_found":
            raise
        messages.error(request, f"{error.message} {error.action}".strip())
    else:
        messages.success(request, f"The rules are back in {kept['name']}.")
    request.session.pop(PRUNED, None)
    return _back(request, policy_id)


def _back(request: HttpRequest, policy_id: str) -> HttpResponse:
    agent_id = request.POST.get("agent", "")
    if agent_id.isascii() and agent_id.replace("_", "").isalnum():
        return redirect("runs:agent-reach", agent_id)
    return redirect("agents:policy-detail", policy_id)
