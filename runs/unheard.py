"""What a runtime waits for when its question was asked while nobody listened (pure).

The event stream of a run that was taken over is gone, and with it the question. The runtime runs the tools of
one turn in order and writes each result down, so it waits for the first call that has none.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from sandboxes.hermes.client import SessionMessage, ToolCall

WAITING = "waiting_for_approval"  # the runtime's word for it
DESCRIPTION = "asked while Logos was restarting"


def command_in(messages: Sequence[SessionMessage]) -> str:
    """The command a person is asked about, as the runtime words it; "" when the messages do not tell."""
    call = _unanswered(messages)
    return _worded(call) if call is not None else ""


def _unanswered(messages: Sequence[SessionMessage]) -> ToolCall | None:
    answered = {message.tool_call_id for message in messages if message.tool_call_id}
    last = next((message for message in reversed(messages) if message.tool_calls), None)
    return next((call for call in last.tool_calls if call.id not in answered), None) if last is not None else None


def _worded(call: ToolCall) -> str:
    try:
        args = json.loads(call.arguments)
    except ValueError:
        args = None
    if isinstance(args, dict) and call.name == "terminal" and isinstance(args.get("command"), str):
        return str(args["command"])
    if isinstance(args, dict) and call.name == "execute_code" and isinstance(args.get("code"), str):
        return f"execute_code <<'PY'\n{args['code']}\nPY"
    return f"{call.name} {call.arguments}".strip()
