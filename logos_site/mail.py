"""Read the address of a mail server into Django's own settings."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from logos_site.env import ConfigurationError

PORTS = {"smtp": 587, "smtps": 465, "smtp+plain": 25}


def settings_for(url: str) -> dict[str, Any]:
    """``EMAIL_*`` for ``smtp://`` (STARTTLS), ``smtps://`` (TLS from the start) or ``smtp+plain://`` (neither, for a
    server on this machine). Without an address nothing can be sent."""
    if not url:
        return {"EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend"}
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError("LOGOS_MAIL_URL is not an address such as smtp://mail.example.org:587.") from error
    if parts.scheme not in PORTS or not parts.hostname:
        raise ConfigurationError("LOGOS_MAIL_URL must begin with smtp://, smtps:// or smtp+plain:// and name a host.")
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": port or PORTS[parts.scheme],
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_TLS": parts.scheme == "smtp",
        "EMAIL_USE_SSL": parts.scheme == "smtps",
        "EMAIL_TIMEOUT": 20,
    }
