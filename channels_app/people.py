"""Who opened this connection: the session cookie or a bearer token of a raw ASGI request, as a person."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest

from agents.models import ApiToken, User


def person_of(scope: dict[str, Any]) -> User | None:
    """The active person behind a request; None for a stranger. Reads the database: call it off the loop."""
    headers = dict(scope["headers"])
    authorization = headers.get(b"authorization", b"").decode("latin-1")
    if authorization[:7].lower() == "bearer ":
        return ApiToken.person_for(authorization[7:].strip())
    return _from_session(headers.get(b"cookie", b"").decode("latin-1"))


def _from_session(cookies: str) -> User | None:
    try:
        morsel = SimpleCookie(cookies).get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return None
    if morsel is None:
        return None
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(morsel.value)
    user = get_user(request)  # checks the session's hash too, so a changed password ends it
    return user if isinstance(user, User) and user.is_active else None
