"""The page of costs: what was spent, by agent, person, model or day, and what another model would have cost."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from agents import permissions
from agents.models import ModelRoute
from agents.views.access import person, signed_in
from agents.views.listing import Choice, Filters
from runs.budgets import costs
from runs.views.budgets import tabs

DAYS = (("1", "24 hours"), ("7", "7 days"), ("30", "30 days"), ("90", "90 days"), ("366", "a year"))
BY = (("agent", "agent"), ("person", "person"), ("model", "model"), ("day", "day"))
MOST_ROUTES = 100


@require_safe
@signed_in
def costs_page(request: HttpRequest) -> HttpResponse:
    """Of calls one asked for and of agents one manages."""
    user = person(request)
    rows = ModelRoute.objects.select_related("provider").exclude(price_input=None).exclude(price_output=None)
    routes = list(permissions.visible(user, rows).order_by("model")[:MOST_ROUTES])
    by, days = Choice("by", "By", BY), Choice("days", "Over the last", DAYS)
    on = Choice("on", "Compare with", [(route.pk, route.model) for route in routes])
    filters = Filters(request.GET, by, days, on)
    other = next((route for route in routes if route.pk == filters.chosen("on")), None)
    found = costs.costs(user, filters.chosen("by") or "agent", int(filters.chosen("days") or 30), other)
    return render(request, "budgets/costs.html", {"filters": filters, "costs": found, "tabs": tabs("costs")})
