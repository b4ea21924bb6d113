"""A tool of the hub by which an agent writes to its person without being asked; the message itself is ``runs.unasked``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from mcp_gateway import jsonrpc
from mcp_gateway.asked import Asked
from runs import unasked
from runs.unasked import Sent

TOOLS: list[dict[str, Any]] = [
    {
        "name": "send_message",
        "description": "Write to the person you work for, who need not answer: something is done, or they should know it. "
        "For a question use ask_person. In a chat your answer reaches them anyway.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "text": {"type": "string", "description": f"What they read; at most {unasked.MOST_CHARS:,} characters."}
            },
            "required": ["text"],
            "additionalProperties": False,
        },
        "annotations": {"readOnlyHint": False, "destructiveHint": False, "idempotentHint": True},
    }
]

Db = Callable[..., Awaitable[Any]]


class OwnMessages:
    """``db`` runs a function with the database, ``run_of`` tells the run a message belongs to."""

    def __init__(self, db: Db, run_of: Callable[[Asked], str]) -> None:
        self._db, self._run_of = db, run_of

    async def send(self, asked: Asked) -> dict[str, Any]:
        """``send_message``."""
        given = asked.params.get("arguments")
        text = given.get("text") if isinstance(given, dict) else None
        if not isinstance(text, str) or not jsonrpc.is_storable(text):
            return jsonrpc.told_model("Say what to write, as a text.")
        run_id = self._run_of(asked) if asked.caller.sandbox_id else ""
        if asked.caller.sandbox_id and not run_id:
            return jsonrpc.told_model("It is not known for whom you work just now. Say it in your answer instead.")
        sent: Sent = await self._db(unasked.send, asked.caller.agent_id, text, run_id)
        told = {"status": sent.status, "message": sent.sentence, "id": sent.message_id}
        return jsonrpc.told(told, sent.status == "refused")
