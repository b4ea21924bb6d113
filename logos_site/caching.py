"""Keep what one person sees out of shared and browser caches: private pages are never stored."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


class PrivatePages:
    """Middleware: an answer to somebody signed in says ``no-store`` unless its view said something itself."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        # Only a view that looked at the person can show something of theirs; files never do.
        if "Cache-Control" not in response and getattr(getattr(request, "session", None), "accessed", False):
            response["Cache-Control"] = "private, no-store"
        return response
