"""Which push services Logos sends to: a browser names its own, and nothing else may be asked in its name (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

MAX_CHARS = 1000


def origin(endpoint: str) -> str:
    """``https://host[:port]`` of an address."""
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc}"


def is_known(endpoint: str, services: Iterable[str]) -> bool:
    """Is this the address of a push service? ``services`` are host names, which need https and its usual port
    (``*.example.org`` is every host below), or whole origins for one's own service."""
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:
        return False
    if len(endpoint) > MAX_CHARS or not endpoint.isascii() or not endpoint.isprintable() or " " in endpoint:
        return False
    if "@" in parts.netloc or "\\" in endpoint or not parts.hostname:
        return False
    return any(_fits(parts, port, service) for service in services)


def _fits(parts: SplitResult, port: int | None, service: str) -> bool:
    host = parts.hostname or ""
    if "://" in service:
        return f"{parts.scheme}://{parts.netloc}" == service.rstrip("/")
    if parts.scheme != "https" or port not in (None, 443):
        return False
    if service.startswith("*."):
        return host.endswith(service[1:].lower()) and host != service[2:]
    return host == service.lower()
