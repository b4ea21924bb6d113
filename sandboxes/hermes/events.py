"""What the agent runtime tells about a run while it goes on, as typed values."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a whole run as the runtime counts them. The router's own figures are the exact ones."""

    input_tokens: int = 0
    output_tokens: int = 0


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the visible reply. After a tool call the first piece begins with a blank line."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A tool began. There is no call id: the k-th start of a name belongs to the k-th request of that name."""

    at: float
    tool: str
    preview: str = ""


@dataclass(frozen=True, slots=True)
class ToolCompleted:
    """A tool ended; ``error`` also when it was denied or killed."""

    at: float
    tool: str
    duration_s: float
    error: bool


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """The run waits for a person. Requests have no id: they are answered in the order they came, one at a time."""

    at: float
    command: str
    description: str
    pattern_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ApprovalResponded:
    """Our answer arrived. Nothing is sent when an approval expires inside the runtime."""

    at: float
    choice: str


@dataclass(frozen=True, slots=True)
class Completed:
    """The run is over. ``output`` is the text after the last tool only."""

    at: float
    output: str
    usage: Usage = NO_USAGE


@dataclass(frozen=True, slots=True)
class Failed:
    """The run failed; ``error`` is the runtime's sentence, for instance ``HTTP 402: budget exhausted``."""

    at: float
    error: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The run was stopped."""

    at: float


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The stream ended before the run did, and it cannot be read again: ask for the run's status instead."""

    detail: str = ""


RuntimeEvent = (
    TextDelta
    | ToolStarted
    | ToolCompleted
    | ApprovalRequest
    | ApprovalResponded
    | Completed
    | Failed
    | Cancelled
    | StreamEnded
)
FINAL = (Completed, Failed, Cancelled, StreamEnded)

# "reasoning.available" repeats the visible text; the model's reasoning is tapped in the inference router.
_DROPPED = frozenset({"reasoning.available"})
_unknown_seen: set[str] = set()


def parse_event(frame: Mapping[str, Any]) -> RuntimeEvent | None:
    """The event in one decoded frame; None for what carries nothing for us. Never raises on odd values."""
    kind, at = frame.get("event"), number(frame.get("timestamp"))
    match kind:
        case "message.delta":
            return TextDelta(at, _text(frame.get("delta")))
        case "tool.started":
            return ToolStarted(at, _text(frame.get("tool")), _text(frame.get("preview")))
        case "tool.completed":
            tool, duration_s = _text(frame.get("tool")), number(frame.get("duration"))
            return ToolCompleted(at, tool, duration_s, bool(frame.get("error")))
        case "approval.request":
            listed = frame.get("pattern_keys")
            keys = listed if isinstance(listed, list) else [frame.get("pattern_key")]
            command, description = _text(frame.get("command")), _text(frame.get("description"))
            return ApprovalRequest(at, command, description, tuple(_text(key) for key in keys if key))
        case "approval.responded":
            return ApprovalResponded(at, _text(frame.get("choice")))
        case "run.completed":
            return Completed(at, _text(frame.get("output")), parse_usage(frame.get("usage")))
        case "run.failed":
            return Failed(at, _text(frame.get("error")) or "The agent runtime gave no reason.")
        case "run.cancelled":
            return Cancelled(at)
    _note_unknown(str(kind))
    return None


def parse_usage(value: object) -> Usage:
    """Token counts from a status or a final event; zero where the runtime told none."""
    if not isinstance(value, Mapping):
        return Usage()
    return Usage(int(number(value.get("input_tokens"))), int(number(value.get("output_tokens"))))


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def number(value: object) -> float:
    """A number below 2**53, or 0 for anything else: JSON may hold NaN, infinities and integers too long for a
    float, and what is longer than any time or count would become one of them where it is multiplied."""
    try:
        return float(value) if isinstance(value, int | float) and abs(value) < 2**53 else 0.0
    except OverflowError:
        return 0.0


def _note_unknown(kind: str) -> None:
    # Once per name and a bounded number of names: what comes out of a sandbox must not fill our memory or log.
    if kind not in _DROPPED and kind not in _unknown_seen and len(_unknown_seen) < 50:
        _unknown_seen.add(kind)
        logger.warning("The agent runtime sent an event we do not know: %.60r", kind)
