"""Who opened this connection: the session cookie or a bearer token of a raw ASGI request, as a person."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest
from django.http.cookie import parse_cookie

from agents import second_factor, tokens
from agents.models import User


def person_of(scope: dict[str, Any]) -> User | None:
    """The active person behind a request; None for a stranger, or while a second factor is missing. Reads the database: call it off the loop."""
    authorization = _header(scope, b"authorization")
    if authorization[:7].lower() == "bearer ":
        return tokens.bearer(authorization[7:].strip(), "GET", scope["path"])
    return visitor_of(scope)


def visitor_of(scope: dict[str, Any]) -> User | None:
    """The same for what only a browser may open: the session cookie counts, a token does not."""
    # Django's own reader: the standard library's gives up at the first cookie somebody else wrote oddly.
    return _from_session(parse_cookie(_header(scope, b"cookie")).get(settings.SESSION_COOKIE_NAME, ""))


def _header(scope: dict[str, Any], name: bytes) -> str:
    # HTTP/2 may send cookies in several headers.
    return b"; ".join(value for key, value in scope["headers"] if key == name).decode("latin-1")


def _from_session(key: str) -> User | None:
    if not key:
        return None
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    user = get_user(request)  # checks the session's hash too, so a changed password ends it
    if not isinstance(user, User) or not user.is_active or second_factor.is_missing(user):
        return None
    return user
