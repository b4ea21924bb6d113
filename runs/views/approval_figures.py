"""The page of how people decide: one's own figures, those of everybody one may see, and canaries."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from agents import permissions
from agents.errors import Invalid
from agents.models import Agent, User
from agents.views import listing
from agents.views.access import person, signed_in
from agents.views.listing import Choice, Filters
from runs import approvals
from runs.views.costs import DAYS

MOST = 500
LOOKS = {"caught": "ok", "missed": "blocked", "not decided": "unknown", "waits": "waiting"}


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def figures(request: HttpRequest) -> HttpResponse:
    """Show them over a window; a POST puts a canary to somebody."""
    user = person(request)
    permissions.require(user, "run.approve")
    if request.method != "POST":
        return _page(request, user, {})
    permissions.require(user, "user.manage")
    typed = {name: request.POST.get(name, "").strip() for name in ("person", "agent_id")}
    try:
        whom = User.objects.filter(username=typed["person"][:150], is_active=True).first()
        agent = permissions.visible(user, Agent.objects.alive()).filter(pk=typed["agent_id"][:40]).first()
        if whom is None:
            raise Invalid("There is nobody of this name.", field="person", action="Write a user name.")
        if agent is None:
            raise Invalid("Choose an agent.", field="agent_id")
        approvals.canary(user, whom, agent)
    except Invalid as error:
        return _page(request, user, typed, error=error, status=400)
    messages.success(request, f"Put to {whom.display_name}. What became of it is told below.")
    return redirect("runs:approval-figures")


def _page(
    request: HttpRequest, user: User, typed: dict[str, str], *, error: Invalid | None = None, status: int = 200
) -> HttpResponse:
    days = Choice("days", "Over the last", DAYS)
    filters = Filters(request.GET, days)
    over = int(filters.chosen("days") or approvals.DEFAULT_DAYS)
    context: dict[str, Any] = {"tab": "figures", "filters": filters, "days": over, "own": approvals.own(user, over)}
    if permissions.may(user, "audit.view"):
        context["figures"] = approvals.figures(user, over)
    if permissions.may(user, "user.manage"):
        page = listing.page(approvals.canaries(user), filters, order="-created_at", size=15)
        agents = permissions.visible(user, Agent.objects.alive()).order_by("name").values_list("pk", "name")[:MOST]
        context |= {
            "may_put": True,
            "page": page,
            "canaries": [(row, approvals.result(row), LOOKS[approvals.result(row)]) for row in page.items],
            "agents": list(agents),
            "typed": typed,
            "error": error,
            "wrong": error.field if error else "",
        }
    return render(request, "approvals/figures.html", context, status=status)
