"""Answer with an agent's picture: nothing in it runs, and browsers keep it as long as it stays the same."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from agents import sprites
from agents.models import Agent


def sprite_response(request: HttpRequest, agent: Agent) -> HttpResponse:
    """The SVG. With ``v`` in the address it may be kept for long, because another look has another address."""
    picture = sprites.svg(sprites.look(agent.pk, agent.sprite_shape, agent.sprite_palette), agent.name, 128)
    key = sprites.key(picture)
    is_known = request.headers.get("If-None-Match") == f'"{key}"'
    response = HttpResponse(status=304) if is_known else HttpResponse(picture, content_type="image/svg+xml")
    response["ETag"] = f'"{key}"'
    is_fixed = request.GET.get("v") == key
    response["Cache-Control"] = "private, max-age=31536000, immutable" if is_fixed else "private, no-cache"
    response["Content-Security-Policy"] = "default-src 'none'"
    response["X-Content-Type-Options"] = "nosniff"
    return response
