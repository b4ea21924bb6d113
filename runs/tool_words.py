"""What a run's timeline says of a call of the tool server."""

from __future__ import annotations

from typing import Any

# The kind of event: {call, tool, arguments, tier, reason, state, approval, duration_ms, ok}.
EVENT = "tool_server.call"

_STATES = {
    "waiting": "waits for a person",
    "done": "is done",
    "failed": "failed",
    "refused": "was refused",
    "denied": "was denied",
    "expired": "was not decided in time",
}


def sentence(data: dict[str, Any]) -> str:
    """One line."""
    state = str(data.get("state", ""))
    words = f"{data.get('tool', 'A tool')} {_STATES.get(state, 'was called')}"
    why = str(data.get("reason") or "") if state in ("waiting", "refused") or data.get("tier") == "notify" else ""
    return f"{words}. {why}".strip()


def waited(data: dict[str, Any]) -> str:
    """The line where it waited, once what came of it has a line of its own."""
    return f"{data.get('tool', 'A tool')} waited for a person."
