"""One model request on its way out: read once, changed as little as possible."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from agents.errors import Invalid

# An unescaped "model" before a colon can only be a key: inside a string its quotes would be escaped.
_MODEL_KEY = re.compile(rb'"model"\s*:\s*("(?:[^"\\]|\\.)*")')
# The same key may also be spelt with escapes, beside the plain one, and a provider takes the last of the two.
_ESCAPED_LETTER = re.compile(rb"\\u00[46][0-9a-fA-F]")
_ASK_FOR_USAGE = b'"stream_options":{"include_usage":true}'


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request; ``payload`` is what the provider gets, ``document`` what it says."""

    document: dict[str, Any]
    payload: bytes
    streaming: bool
    headers: tuple[tuple[str, str], ...] = ()  # of the caller's, those a provider needs to read the rest


def prepare(body: bytes, model: str) -> ModelRequest:
    """The request with the route's model in it, and with usage asked for if it streams and did not ask.
    Everything else keeps its bytes, where the body allows it. Raises Invalid if it is not a JSON object."""
    document = read_document(body)
    streaming = bool(document.get("stream"))
    asks = not streaming or _asks_for_usage(document)
    payload = _patched(body, document, model, asks)
    document["model"] = model
    if not asks:
        options = document.get("stream_options")
        document["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    return ModelRequest(document, _dumped(document) if payload is None else payload, streaming)


def read_document(body: bytes) -> dict[str, Any]:
    """The request as a mapping. Raises Invalid if it is not a JSON object."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Invalid("The request is not JSON.") from error
    if not isinstance(document, dict):
        raise Invalid("The request is not a JSON object.")
    return document


def with_model(body: bytes, document: dict[str, Any], model: str) -> bytes:
    """The body with another model in it; every other byte as it was, where that can be done safely."""
    patched = _patched(body, document, model, asks=True)
    return _dumped({**document, "model": model}) if patched is None else patched


def _asks_for_usage(document: dict[str, Any]) -> bool:
    options = document.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def _patched(body: bytes, document: dict[str, Any], model: str, asks: bool) -> bytes | None:
    """The body with two places changed, or None where that cannot be done safely (the key also occurs
    deeper, or is missing): a large body is not written anew for one word."""
    if isinstance(document.get("model"), str):
        places = list(_MODEL_KEY.finditer(body))
        if len(places) != 1 or _ESCAPED_LETTER.search(body):
            return None
        start, end = places[0].span(1)
        body = body[:start] + json.dumps(model).encode() + body[end:]
    else:
        return None
    if asks:
        return body
    if "stream_options" in document:
        return None
    brace = body.index(b"{") + 1
    return body[:brace] + _ASK_FOR_USAGE + b"," + body[brace:]


def _dumped(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
