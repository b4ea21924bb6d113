"""Blot secrets out of what an MCP server says: as they are, quoted, and in the encodings servers commonly answer with (pure)."""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from agents import secrets
from mcp_gateway.jsonrpc import Message

# Where the protocol carries bytes as base64.
_BYTES = frozenset({"data", "blob"})
_PARTS = ("result", "error", "params")


class Blot:
    """For these secrets. ``shapes``: also what only looks like a key or a token."""

    __slots__ = ("_forms", "_raw", "_shapes")

    def __init__(self, known: Iterable[str] = (), *, shapes: bool = False) -> None:
        values = [each for each in known if len(each) >= 6]
        self._forms = tuple(sorted(secrets.forms(values) | _spelled(values), key=len, reverse=True))
        self._raw = tuple(each.encode() for each in values)
        self._shapes = shapes

    def message(self, message: Message) -> Message:
        """A message of the server, with its envelope as it is."""
        found = {name: self.value(message[name]) for name in _PARTS if name in message}
        return {**message, **found}

    def value(self, value: Any) -> Any:
        """Any JSON value."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if isinstance(value, dict):
            return {self.text(name): self._of(name, each) for name, each in value.items()}
        return value

    def text(self, text: str) -> str:
        """One text."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, secrets.MASK)
        return secrets.redact(text) if self._shapes else text

    def _of(self, name: str, value: Any) -> Any:
        return self._encoded(value) if name in _BYTES and isinstance(value, str) else self.value(value)

    def _encoded(self, text: str) -> str:
        """What may be base64: a secret in the bytes is found wherever it begins."""
        try:
            plain = text.translate(_STANDARD)
            raw = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        except (binascii.Error, ValueError):
            return self.text(text)
        if not any(each in raw for each in self._raw):
            return self.text(text)
        for each in self._raw:
            raw = raw.replace(each, secrets.MASK.encode())
        return base64.b64encode(raw).decode()


# base64 as others write it: for addresses, in lines, without its end.
_STANDARD = str.maketrans({"-": "+", "_": "/", "=": None, "\n": None, "\r": None, " ": None})


def _spelled(values: Iterable[str]) -> set[str]:
    """More ways in which servers echo what they know: base64 of something around it, hex and percents in the other
    case, and quoted twice."""
    found: set[str] = set()
    for value in values:
        raw, twice = value.encode(), json.dumps(json.dumps(value)[1:-1])[1:-1]
        percent = (quote(value), quote(value, safe=""))
        found |= {raw.hex().upper(), twice, html.escape(value), *percent}
        found |= {_PERCENT.sub(lambda match: match[0].lower(), each) for each in percent}
        for lead in range(3):
            # Of each way in which it may begin, the letters that come from it alone.
            coded = base64.b64encode(b"\0" * lead + raw).decode().rstrip("=")
            inner = coded[(lead * 8 + 5) // 6 : (lead + len(raw)) * 8 // 6]
            found |= {inner, inner.translate(str.maketrans("+/", "-_"))}
    return {each for each in found if len(each) >= 8}


_PERCENT = re.compile("%[0-9A-F]{2}")


def blot(known: Iterable[str], *, shapes: bool = False) -> Blot | None:
    """None where there is nothing to hide: then nothing is looked at."""
    found = [each for each in known if len(each) >= 6]
    return Blot(found, shapes=shapes) if found or shapes else None
