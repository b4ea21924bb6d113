"""What a tool gives back: blocks of text for a model and the same as data, within bounds and without known secrets."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from agents.errors import LogosError
from agents.secrets import MASK, redact

TEXT_MOST = 300_000
CUT = "\n… cut"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call: ``content`` and ``data`` are of the Model Context Protocol's shape."""

    data: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    is_error: bool = False

    @property
    def content(self) -> list[dict[str, Any]]:
        """Blocks for a model."""
        return [{"type": "text", "text": self.text}]


def done(data: dict[str, Any], text: str = "") -> Outcome:
    """A result; without a text of its own, the data as JSON."""
    return Outcome(data, text or json.dumps(data, ensure_ascii=False))


def refused(error: LogosError) -> Outcome:
    """Why not, for whoever called."""
    data = {"reason": error.reason, "message": error.message, "action": error.action}
    return Outcome(data, f"{error.message} {error.action}".strip(), is_error=True)


def without(outcome: Outcome, known: Iterable[str]) -> Outcome:
    """The outcome with these secrets masked everywhere, and its text cut."""
    secrets = [each for each in known if len(each) >= 6]
    text = _masked(outcome.text, secrets)
    if len(text) > TEXT_MOST:
        text = text[:TEXT_MOST] + CUT
    return Outcome(_clean(outcome.data, secrets), text, outcome.is_error)


def _clean(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, str):
        return _masked(value, secrets)
    if isinstance(value, list):
        return [_clean(each, secrets) for each in value]
    if isinstance(value, dict):
        found = {_masked(str(key), secrets): _clean(each, secrets) for key, each in value.items()}
        if isinstance(value.get("base64"), str):
            found["base64"] = _in_base64(value["base64"], secrets)
        return found
    return value


def _masked(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text


def _in_base64(text: str, secrets: list[str]) -> str:
    try:
        raw = base64.b64decode(text)
    except ValueError:
        return ""
    for secret in secrets:
        raw = raw.replace(secret.encode(), MASK.encode())
    return base64.b64encode(raw).decode()


def recorded(value: Any, known: frozenset[str], most: int = 2_000, depth: int = 0) -> Any:
    """Arguments as a record may hold them: secrets and what is shaped like one masked, long texts cut."""
    if isinstance(value, str):
        # Masked before it is cut: half a secret is not recognised any more.
        plain = redact(value[: most * 8].replace("\x00", "").encode("utf-8", "replace").decode(), known)
        return plain if len(plain) <= most and len(value) <= most * 8 else f"{plain[:most]}{CUT}"
    if isinstance(value, list) and depth < 4:
        found = [recorded(each, known, most, depth + 1) for each in value[:50]]
        return found + ([f"… {len(value) - 50} more"] if len(value) > 50 else [])
    if isinstance(value, dict) and depth < 4:
        return {str(recorded(str(key), known, 200)): recorded(each, known, most, depth + 1)
                for key, each in list(value.items())[:50]}  # fmt: skip
    return value if value is None or isinstance(value, bool | int) else str(value)[:most]
