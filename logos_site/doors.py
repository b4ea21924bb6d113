"""Middleware: who acts in this request and through which door, for history and the audit."""

from __future__ import annotations

from collections.abc import Callable

from allauth.account.adapter import get_adapter
from django.http import HttpRequest, HttpResponse

from agents import acting
from agents.models import User

Answer = Callable[[HttpRequest], HttpResponse]


class Doors:
    """Names the door by path; the person is looked up only when something is written."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with acting.through(_door(request.path), lambda: _person(request), _address(request)):
            return self.get_response(request)


def _door(path: str) -> str:
    if path.startswith("/api/"):
        return "api"
    return "console" if path.startswith("/admin/") else "page"


def _person(request: HttpRequest) -> User | None:
    # The API's authentication leaves who it found in ``auth``; it may be another than the cookie's.
    found = getattr(request, "auth", None) or getattr(request, "user", None)
    return found if isinstance(found, User) else None


def _address(request: HttpRequest) -> str:
    return get_adapter().get_client_ip(request) if "REMOTE_ADDR" in request.META else ""
