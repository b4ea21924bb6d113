"""Tools of the hub by which an agent asks a person and reads the answer; the question itself is ``runs.questions``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from mcp_gateway import jsonrpc, patience
from mcp_gateway.asked import Asked
from runs import questions
from runs.questions import Reply

TOOLS: list[dict[str, Any]] = [
    {
        "name": "ask_person",
        "description": "Ask the person you work for a question, when only they can know or decide. Waits a while for them.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "question": {"type": "string", "description": "One clear question, with what they need to answer it."},
                "choices": {
                    "type": "array",
                    "items": {"type": "string"},
                    "maxItems": questions.MAX_CHOICES,
                    "description": "Answers to choose from; they may still write their own.",
                },
            },
            "required": ["question"],
            "additionalProperties": False,
        },
    },
    {
        "name": "person_answer",
        "description": "What a person answered to a question that was still waiting. Waits a while for them.",
        "inputSchema": {
            "type": "object",
            "properties": {"request_id": {"type": "string", "description": "As ask_person gave it."}},
            "required": ["request_id"],
            "additionalProperties": False,
        },
        "annotations": {"readOnlyHint": True},
    },
]

Db = Callable[..., Awaitable[Any]]


class AskPerson:
    """Answers calls of these tools."""

    def __init__(self, db: Db, run_of: Callable[[Asked], str]) -> None:
        self._db, self._run_of = db, run_of

    async def ask(self, asked: Asked) -> dict[str, Any]:
        """``ask_person``."""
        given = _given(asked)
        question, choices = given.get("question"), given.get("choices", [])
        if not isinstance(question, str) or not jsonrpc.is_storable(question):
            return jsonrpc.told_model("Say what you ask.")
        if not isinstance(choices, list) or not all(
            isinstance(each, str) and jsonrpc.is_storable(each) for each in choices
        ):
            return jsonrpc.told_model("Choices are a list of texts.")
        reply = await self._db(questions.ask, asked.caller.agent_id, question, choices, self._run_of(asked))
        return _told(await self._held(asked, reply))

    async def look(self, asked: Asked) -> dict[str, Any]:
        """``person_answer``."""
        id = _given(asked).get("request_id")
        if not isinstance(id, str) or not jsonrpc.is_storable(id):
            return jsonrpc.told_model("Say which question.")
        return _told(await self._held(asked, await self._db(questions.look, asked.caller.agent_id, id)))

    async def _held(self, asked: Asked, reply: Reply) -> Reply:
        """Wait a while for the person. Raises Left when the caller does not."""
        if reply.status != "pending":
            return reply

        async def look() -> Reply:
            found: Reply = await self._db(questions.look, asked.caller.agent_id, reply.request_id)
            return found

        return await patience.held(
            asked, reply, lambda found: found.status == "pending", look, "waiting for a person", patience.HOLD_S
        )


def _given(asked: Asked) -> dict[str, Any]:
    given = asked.params.get("arguments")
    return given if isinstance(given, dict) else {}


def _told(reply: Reply) -> dict[str, Any]:
    """For models as text, for programs as it is."""
    value = {"status": reply.status, "answer": reply.answer, "message": reply.sentence, "request_id": reply.request_id}
    told = {"content": [{"type": "text", "text": jsonrpc.dumps(value).decode()}], "structuredContent": value}
    return told | ({"isError": True} if reply.status == "refused" else {})
