"""The page of accounts at MCP servers elsewhere, the way to their sign-ins and back, and what Logos says of itself."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_GET, require_POST, require_safe

from agents.errors import LogosError
from agents.views import listing
from agents.views.access import person, signed_in
from agents.views.listing import Filters
from mcp_gateway.oauth import accounts, connecting


def _base(request: HttpRequest) -> str:
    """Logos's address as this person's browser knows it."""
    return (settings.LOGOS_URL or request.build_absolute_uri("/")).rstrip("/")


def _page(request: HttpRequest, *, status: int = 200, **context: Any) -> HttpResponse:
    # At the other addresses, filters and pages would lead nowhere.
    is_list = "error" not in context
    user, filters = person(request), Filters(request.GET if is_list else QueryDict(), hint="Name or description")
    shown = listing.page(filters.search(accounts.rows(user), "name", "description"), filters, order="name")
    context |= {"places": accounts.places(user, shown.items), "page": shown, "filters": filters, "is_list": is_list}
    return render(request, "mcp_accounts/list.html", context, status=status)


@never_cache
@require_safe
@signed_in
def account_list(request: HttpRequest) -> HttpResponse:
    """Every server that is used with an account: connected or not, until when, and what it may."""
    return _page(request)


@never_cache
@require_POST
@signed_in
def connect(request: HttpRequest, server_id: str) -> HttpResponse:
    """Say where the person is about to go and what will be asked there; the link leads away."""
    try:
        leaving = connecting.begin(person(request), server_id, _base(request), request.session)
    except LogosError as error:
        if error.reason in ("not_found", "forbidden"):
            raise
        return _page(request, status=400, error=error)
    return render(request, "mcp_accounts/leave.html", {"leaving": leaving})


@never_cache
@require_GET
@signed_in
@sensitive_variables("returned")
def callback(request: HttpRequest) -> HttpResponse:
    """The person is back from a sign-in."""
    returned = {name: value for name, value in request.GET.items() if isinstance(value, str)}
    try:
        account = connecting.finish(person(request), returned, request.session)
    except LogosError as error:
        return _page(request, status=400, error=error)
    messages.success(request, f"The account at {account.server.name} is connected.")
    # Not shown at this address: the code stands in it.
    return redirect("mcp:accounts")


@never_cache
@require_POST
@signed_in
@sensitive_post_parameters()
def disconnect(request: HttpRequest, server_id: str) -> HttpResponse:
    """Forget an account."""
    heard = accounts.disconnect(person(request), server_id)
    more = (
        "" if heard else " Its sign-in could not be told: if you want to be sure, take Logos's access away there too."
    )
    messages.success(request, f"The account is disconnected.{more}")
    return redirect("mcp:accounts")


@require_safe
def client_document(request: HttpRequest) -> HttpResponse:
    """What Logos is, for sign-ins that read it at the address that is its client id."""
    base = settings.LOGOS_URL.rstrip("/")
    if not base.startswith("https://"):
        raise Http404
    response = JsonResponse(connecting.document(base))
    response["Cache-Control"] = "public, max-age=3600"
    return response
