"""Read a tool's result as people want it: the output and the exit code instead of the JSON around them (pure)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from runs.events import CUT


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool gave back."""

    text: str
    exit_code: int | None = None


# What the runtime gives the model instead of a result when it did not run the tool.
_REFUSALS = ("Tool '", "Error", "Skipped: ", "[Tool execution")


def failed(raw: str) -> bool:
    """Does this result tell of a failure? For tools whose end the runtime did not report itself."""
    value = _object(raw)
    if value is None:
        return raw.startswith(_REFUSALS)
    return bool(value.get("error")) or _exit_code(value) not in (None, 0)


# Results reach 50,000 characters, so not many are kept.
@lru_cache(maxsize=64)
def summary(raw: str) -> Result:
    """The runtime's built-in tools answer with a JSON object as a string; anything else is shown as it is."""
    value = _object(raw)
    if value is None:
        return Result(raw)
    exit_code = _exit_code(value)
    try:
        parts = [str(value[key]) for key in ("output", "content", "error") if value.get(key)]
        if not parts and exit_code is None:
            return Result(json.dumps(value, indent=2, ensure_ascii=False))
    except RecursionError:
        return Result(raw)
    return Result("\n".join(parts) + (CUT if raw.endswith(CUT) else ""), exit_code)


def _object(raw: str) -> dict[str, Any] | None:
    if raw.lstrip()[:1] != "{":
        return None
    if raw.endswith(CUT):
        # Cut inside its longest string, perhaps inside an escape: close it and see.
        body = raw.removesuffix(CUT)
        return next((value for n in range(7) if (value := _read(body[: len(body) - n] + '"}')) is not None), None)
    return _read(raw)


def _read(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _exit_code(value: dict[str, Any]) -> int | None:
    code = value.get("exit_code")
    return code if isinstance(code, int) and not isinstance(code, bool) else None
