"""Where clients outside find the hub."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest

from mcp_gateway import door, gateway, own_port

LOOK_S = 2.0


def address(request: HttpRequest) -> str:
    """As whoever asks found the site: beside it behind a proxy, else at the gateway's own port where there is one."""
    is_proxied = bool(settings.LOGOS_URL) or request.is_secure()
    return ("" if is_proxied else gateway.own_address(request.get_host())) or request.build_absolute_uri("/mcp")


def address_here() -> str:
    """The same for somebody in a shell on this machine, who found no site: as pages say it, as far as can be seen."""
    if settings.LOGOS_URL:
        return f"{settings.LOGOS_URL.rstrip('/')}/mcp"
    site = f"http://127.0.0.1:{settings.LOGOS_PORT}/mcp"
    own = own_port.reached(settings.LOGOS_MCP_BIND, settings.LOGOS_MCP_PORT, "127.0.0.1")
    # Nothing answers while Logos does not run; then the own port is where it will be.
    return own if own and (is_door(own) or not is_door(site)) else site


def is_door(url: str) -> bool:
    """Does the gateway of a Logos answer there?"""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=LOOK_S)
    try:
        connection.request("POST", place.path, json.dumps({}), {"Content-Type": "application/json"})
        return connection.getresponse().headers.get("WWW-Authenticate") == door.CHALLENGE
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
