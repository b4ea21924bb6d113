"""Who asks the API: a personal token in the Authorization header, else the signed-in browser.

A browser's session is used by every page it has open, so a change needs the CSRF token as well; a token
in the header is never sent by itself and needs none.
"""

from __future__ import annotations

from typing import cast

from django.http import HttpRequest
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from agents import second_factor, tokens
from agents.errors import LogosError
from agents.models import User
from agents.scopes import SAFE_METHODS


def person_of(request: HttpRequest) -> User | None:
    """The active person behind this request, or None. A header that names no valid token is nobody, whatever
    the cookies say. Raises LogosError(reason="scope") for a token that is not for this, (reason="forbidden") for a browser's change without the CSRF token, and
    (reason="second_factor_required") for somebody signed in whose role needs a second factor they have not set up."""
    tokens.refuse_in_address(dict(request.GET.lists()))
    if header := request.headers.get("Authorization", ""):
        scheme, _, secret = header.partition(" ")
        is_bearer = scheme.lower() == "bearer"
        return tokens.bearer(secret.strip(), request.method or "", request.path) if is_bearer else None
    user = request.user
    if not isinstance(user, User) or not user.is_active or user.is_service:
        return None
    if request.method not in SAFE_METHODS and check_csrf(request) is not None:
        raise LogosError(
            "The CSRF token is missing or wrong.",
            reason="forbidden",
            action="Send the page's token in the X-CSRFToken header, or use an API token.",
        )
    second_factor.require(user)
    return user


class BearerToken(AuthBase):
    """A personal token: ``Authorization: Bearer logos_…``."""

    openapi_type = "http"
    openapi_scheme = "bearer"
    openapi_description = "A personal API token, made under /api/tokens or with `manage.py token create`."

    def __call__(self, request: HttpRequest) -> User | None:
        return person_of(request) if "Authorization" in request.headers else None


class BrowserSession(AuthBase):
    """The signed-in browser: the session cookie, and the CSRF token in a header for every change."""

    openapi_type = "apiKey"
    openapi_in = "cookie"
    openapi_name = "logos_session"
    openapi_description = "The session of a signed-in browser; changes also need the X-CSRFToken header."
    # Tells the documentation page to send the CSRF token with what is tried out there.
    csrf = True

    def __call__(self, request: HttpRequest) -> User | None:
        return None if "Authorization" in request.headers else person_of(request)


def asker(request: HttpRequest) -> User:
    """The person behind an authenticated request, as the API's authentication found them."""
    return cast(User, request.auth)  # type: ignore[attr-defined]
