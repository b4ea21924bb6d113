"""Does a websocket come from a page of ours? Browsers send cookies with every one, whatever site opened it."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest


def request_of(scope: dict[str, Any]) -> HttpRequest:
    """The handshake as Django would see it, for its rules about hosts, TLS proxies and addresses."""
    scheme = "https" if scope.get("scheme") == "wss" else "http"
    return ASGIRequest({**scope, "type": "http", "method": "GET", "scheme": scheme}, BytesIO())


def is_own(scope: dict[str, Any]) -> bool:
    """The same rule as for forms: the origin is the host that was asked, or one of ``CSRF_TRUSTED_ORIGINS``. A
    browser always says its origin; who says none is none."""
    request = request_of(scope)
    origin = request.headers.get("Origin", "")
    try:
        own = f"{request.scheme}://{request.get_host()}"
    except DisallowedHost:
        return False
    return bool(origin) and (origin == own or origin in settings.CSRF_TRUSTED_ORIGINS)
