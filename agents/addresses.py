"""Web addresses as people type them: a provider may live under a name without a dot, as in a home or a compose file."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.core.exceptions import ValidationError

_HOST = re.compile(
    r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?|[0-9a-f:.]+", re.IGNORECASE
)


def web_address(text: str) -> None:
    """Raises ValidationError with one sentence unless ``text`` is an http(s) address with a host and no password.

    Django's own validator wants a dot or "localhost" in the name, which refuses http://ollama:11434."""
    if re.search(r"[\s\\]", text):
        raise ValidationError("This is not a web address.")
    try:
        parts = urlsplit(text)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError as error:
        raise ValidationError("This is not a web address.") from error
    if parts.scheme not in ("http", "https"):
        raise ValidationError("An address begins with http:// or https://.")
    if parts.username is not None or parts.password is not None:
        raise ValidationError("Put the key in its own field, not into the address.")
    if not port_is_fine or not _HOST.fullmatch(parts.hostname or ""):
        raise ValidationError("This is not a web address.")


class AddressField(forms.CharField):
    """A form field for such an address; without a scheme it is taken to be https."""

    widget = forms.URLInput

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.validators.append(web_address)

    def to_python(self, value: Any) -> str:
        text = super().to_python(value) or ""
        return f"https://{text}" if text and "://" not in text else text
