"""JSON texts with one reading: a key that is written twice is refused, because readers differ in which one counts."""

from __future__ import annotations

import json
from typing import Any

from agents.errors import Invalid


def loads(text: str | bytes) -> Any:
    """The value of the text. Invalid for what is no JSON, and for a key that an object has twice."""
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Invalid("This is not valid JSON.") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise Invalid(f"The key {key[:80]!r} is written twice.", reason="duplicate_key", action="Write it once.")
        found[key] = value
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")
