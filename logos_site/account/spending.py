"""The page of what one may still spend."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from agents.views.access import person, signed_in
from runs.budgets import on_people


@never_cache
@require_safe
@signed_in
def spending(request: HttpRequest) -> HttpResponse:
    """One's budgets, what is left of each, and what was spent."""
    user = person(request)
    part = {**on_people.section(user, user), "heading": "What you may still spend"}
    return render(request, "account/spending.html", {"part": part})
