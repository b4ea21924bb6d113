"""Read a tool's result as people want it: the output and the exit code instead of the JSON around them (pure)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool gave back."""

    text: str
    exit_code: int | None = None


@lru_cache(maxsize=256)
def summary(raw: str) -> Result:
    """The runtime's built-in tools answer with a JSON object as a string; anything else is shown as it is."""
    try:
        value = json.loads(raw)
    except ValueError:
        return Result(raw)
    if not isinstance(value, dict):
        return Result(raw)
    code = value.get("exit_code")
    exit_code = code if isinstance(code, int) and not isinstance(code, bool) else None
    parts = [str(value[key]) for key in ("output", "content", "error") if value.get(key)]
    if not parts and exit_code is None:
        return Result(json.dumps(value, indent=2, ensure_ascii=False))
    return Result("\n".join(parts), exit_code)
