"""The first-run page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse


def start(request: HttpRequest, token: str) -> HttpResponse:
    return HttpResponse(status=404)
