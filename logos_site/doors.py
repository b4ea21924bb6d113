"""Middleware: who acts in this request and through which door, for history and the audit."""

from __future__ import annotations

import logging
from collections.abc import Callable

from allauth.account.adapter import get_adapter
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse

from agents import acting, audit
from agents.models import User

logger = logging.getLogger(__name__)

# Looking at what is not there for one is no attempt worth an event: old links do it.
_LOOKING = frozenset({"GET", "HEAD", "OPTIONS"})

Answer = Callable[[HttpRequest], HttpResponse]


class Doors:
    """Names the door by path; the person is looked up only when something is written."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with acting.through(_door(request.path), lambda: _person(request), _address(request)):
            response = self.get_response(request)
            if request.method not in _LOOKING:
                _note_refusals(request)
            return response


def _note_refusals(request: HttpRequest) -> None:
    try:
        audit.note_refusals(acting.refusals())
    except DatabaseError as error:
        # The refusal stands; the answer is not held back because it could not be written down.
        logger.warning("A refusal at %s could not be noted: %s", request.path, error)


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
