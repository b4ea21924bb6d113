"""Turn a LogosError that reaches a page into an answer: the right status, one sentence, what was typed kept."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from agents.errors import Conflict, Invalid, LogosError

STATUS = {
    "not_found": 404,
    "forbidden": 403,
    "scope": 403,
    "second_factor_required": 403,
    "unauthenticated": 401,
    "conflict": 409,
    "conversation_busy": 409,
    "ambiguous": 409,
    "name_taken": 409,
    "already_finished": 409,
    "budget_exceeded": 402,
    "already_decided": 409,
    "own_request": 409,
    "too_large": 413,
    "disk_full": 507,
    "halted": 423,
    "busy": 503,
    "sandbox_unavailable": 503,
    "sandbox_disconnected": 503,
    "runtime_missing": 503,
    "runtime_install_failed": 503,
    "no_route": 409,
    "provider_auth": 502,
    "provider_billing": 502,
    "provider_rate_limit": 502,
    "provider_timeout": 502,
    "provider_unreachable": 502,
    "model_not_found": 502,
}


def status_for(error: LogosError) -> int:
    """The HTTP status of an error: by its reason, else 400 for what the caller can change, 409 for a conflict, or 500."""
    return STATUS.get(error.reason, 400 if isinstance(error, Invalid) else 409 if isinstance(error, Conflict) else 500)


class ErrorPages:
    """Middleware: a LogosError raised in a view becomes a page, or a small part for htmx."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, LogosError):
            return None
        htmx = getattr(request, "htmx", False)
        template = "_error.html" if htmx else "error.html"
        return render(request, template, {"error": error, "status": status_for(error)}, status=status_for(error))
