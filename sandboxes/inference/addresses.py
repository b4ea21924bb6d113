"""A provider's address as people type it, and the endpoints below it."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit, urlunsplit

from agents.errors import Invalid

_PASTED = ("/chat/completions", "/completions", "/messages", "/models", "/embeddings")


@lru_cache(maxsize=256)
def endpoint(base_url: str, name: str) -> str:
    """``name`` ("models", "chat/completions", "messages") below ``base_url``. An address without a path gets "/v1", as
    Ollama and LM Studio print theirs without; an endpoint pasted whole is cut back to its base.
    Raises Invalid for anything that is not an http(s) address."""
    try:
        parts = urlsplit(base_url.strip())
    except ValueError as error:
        raise Invalid("The provider's address is not a web address.", field="base_url") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Invalid("The provider's address must begin with http:// or https://.", field="base_url")
    path = parts.path.rstrip("/")
    for tail in _PASTED:
        path = path.removesuffix(tail)
    return urlunsplit((parts.scheme, parts.netloc, f"{path or '/v1'}/{name}", parts.query, ""))
