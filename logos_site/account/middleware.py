"""On every request of a signed-in browser: is a second factor still missing, and when was the session last seen?"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from agents import second_factor
from agents.models import User
from agents.views.access import leave_to
from logos_site.account import sessions

Answer = Callable[[HttpRequest], HttpResponse]

# Where somebody who still needs a second factor may go: setting it up, and out. The API refuses by itself, all but the
# pages that describe it.
OPEN_WITHOUT = ("/account/second-factor/", "/accounts/reauthenticate/", "/accounts/logout/", "/healthz", "/readyz")
API_PAGES = ("/api/docs", "/api/openapi.json")


class SecondFactorGate:
    """Middleware: people whose role needs a second factor set it up before they see any other page."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        is_api = request.path.startswith("/api/") and request.path not in API_PAGES
        if settings.LOGOS_SECOND_FACTOR_ROLES and not is_api and not request.path.startswith(OPEN_WITHOUT):
            user = request.user
            if isinstance(user, User) and second_factor.is_missing(user):
                return leave_to(request, reverse("mfa_index"))
        return self.get_response(request)


class SeenSessions:
    """Middleware: keeps address, device and last-seen time of a session, written at most once a minute."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        # Nothing is read for somebody without a cookie.
        if settings.SESSION_COOKIE_NAME in request.COOKIES and isinstance(request.user, User):
            sessions.seen(request)
        return response
