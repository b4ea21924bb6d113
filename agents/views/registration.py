"""The page where anybody asks for an account, when that is allowed, and the queue where admins decide."""

from __future__ import annotations

from typing import Any

from allauth.core.internal import ratelimit
from django.contrib import messages
from django.contrib.auth.password_validation import password_validators_help_texts
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods

from agents import people, registration
from agents.errors import Conflict, Invalid, NotFound
from agents.models import User
from agents.numbers import whole
from agents.views import listing
from agents.views.access import person, signed_in
from agents.views.links import chosen_password, typed
from agents.views.listing import Filters


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters()
@sensitive_variables("password")
def register(request: HttpRequest) -> HttpResponse:
    """Ask for an account. The answer is the same whether the name is free or not."""
    if not registration.is_open():
        raise NotFound("This page")
    context: dict[str, Any] = {
        "rules": password_validators_help_texts(),
        "needs_approval": registration.needs_approval(),
        "given": request.POST,
    }
    if request.method != "POST":
        return render(request, "people/register.html", context)
    if not ratelimit.consume(request, app="allauth.account", action="register"):
        return render(request, "429.html", status=429)
    try:
        words = {name: typed(request, name) for name in ("username", "email", "name", "note")}
        registration.apply(password=chosen_password(request), **words)
    except (Invalid, Conflict) as error:
        status = 409 if isinstance(error, Conflict) else 400
        return render(request, "people/register.html", {**context, "error": error}, status=status)
    return render(request, "people/registered.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def waiting(request: HttpRequest) -> HttpResponse:
    """Who asked for an account, each to be let in or refused with a note."""
    admin = person(request)
    people.require(admin)
    error = None
    if request.method == "POST":
        try:
            messages.success(request, _decide(request, admin))
            return redirect("agents:waiting")
        except (Invalid, Conflict) as problem:
            error = problem
    else:
        registration.sweep()
    filters = Filters(request.GET, hint="Name or e-mail")
    rows = filters.search(registration.queue(admin), "username", "first_name", "email")
    context = {
        "page": listing.page(rows, filters, order="applied_at"),
        "filters": filters,
        "error": error,
        "given": request.POST,
        "is_open": registration.is_open(),
    }
    status = 200 if error is None else 409 if isinstance(error, Conflict) else 400
    return render(request, "people/waiting.html", context, status=status)


def _decide(request: HttpRequest, admin: User) -> str:
    number = request.POST.get("person", "")
    found = people.find(admin, whole(number) or 0)
    do, note = request.POST.get("do"), typed(request, "note").strip()
    if do == "approve":
        registration.approve(admin, found, note)
        return f"{found.username} may sign in now."
    if do == "refuse":
        registration.refuse(admin, found, note)
        return f"{found.username} is refused."
    raise Invalid("The page did not say what to do.", action="Reload it and try again.")
