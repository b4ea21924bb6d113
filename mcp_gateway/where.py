"""Where clients outside find the hub."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest

from mcp_gateway import gateway


def address(request: HttpRequest) -> str:
    """As whoever asks found the site: beside it behind a proxy, else at the gateway's own port where there is one."""
    is_proxied = bool(settings.LOGOS_URL) or request.is_secure()
    return ("" if is_proxied else gateway.own_address(request.get_host())) or request.build_absolute_uri("/mcp")
