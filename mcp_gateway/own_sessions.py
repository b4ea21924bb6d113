"""A tool of the hub by which an agent finds what was said before in its chats with the person it works for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from agents import permissions
from agents.models import User
from mcp_gateway import jsonrpc
from mcp_gateway.asked import Asked
from mcp_gateway.models import McpToken
from runs.models import Conversation, Message, Run

MOST, LONGEST, AROUND = 20, 200, 160
TOOLS: list[dict[str, Any]] = [
    {
        "name": "search_my_sessions",
        "description": "Search what was said in your earlier chats with the person you work for, the newest first.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "A word or phrase that was said, 2 to 200 characters."},
                "limit": {"type": "integer", "minimum": 1, "maximum": MOST, "description": "How many; 10 if left out."},
            },
            "required": ["query"],
            "additionalProperties": False,
        },
        "annotations": {"readOnlyHint": True},
    }
]

Db = Callable[..., Awaitable[Any]]


class OwnSessions:
    """``db`` runs a function with the database, ``run_of`` tells the run a message belongs to."""

    def __init__(self, db: Db, run_of: Callable[[Asked], str]) -> None:
        self._db, self._run_of = db, run_of

    async def search(self, asked: Asked) -> dict[str, Any]:
        """``search_my_sessions``."""
        given = asked.params.get("arguments")
        query, limit = (given.get("query"), given.get("limit", 10)) if isinstance(given, dict) else (None, 10)
        if not isinstance(query, str) or not 2 <= len(query.strip()) <= LONGEST or not jsonrpc.is_storable(query):
            return jsonrpc.told_model(f"Say what to look for, in 2 to {LONGEST} characters.")
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST:
            return jsonrpc.told_model(f"The limit is a whole number from 1 to {MOST}.")
        caller, run_id = asked.caller, self._run_of(asked) if asked.caller.sandbox_id else ""
        found = await self._db(find, caller.agent_id, run_id, caller.token_id, query.strip(), limit)
        if found is None:
            return jsonrpc.told_model("It is not known for whom you work, so there is nothing to search.")
        text = jsonrpc.dumps({"found": found}).decode()
        return {"content": [{"type": "text", "text": text}], "structuredContent": {"found": found}}


def find(agent_id: str, run_id: str, token_id: int, query: str, limit: int) -> list[dict[str, Any]] | None:
    """What was said between the agent and its person; None when nobody is that person. Never what it said to others."""
    person = _person(agent_id, run_id, token_id)
    if person is None or not person.is_active:
        return None
    own = permissions.visible(person, Conversation.objects.filter(agent=agent_id, owner=person))
    said = Message.objects.filter(conversation__in=own, text__icontains=query).select_related("conversation")
    return [
        {
            "conversation": each.conversation_id,
            "title": each.conversation.title,
            "at": each.created_at.isoformat(timespec="seconds"),
            "who": each.speaker,
            "text": _around(each.text, query),
        }
        for each in said.order_by("-created_at", "-pk")[:limit]
    ]


def _person(agent_id: str, run_id: str, token_id: int) -> User | None:
    """Whose chat the run is in; of a client outside, who made its token."""
    if run_id:
        run = Run.objects.filter(pk=run_id, agent=agent_id).select_related("conversation__owner").first()
        return run.conversation.owner if run is not None else None
    token = McpToken.objects.filter(pk=token_id, agent=agent_id, revoked_at=None).select_related("made_by").first()
    return token.made_by if token is not None else None


def _around(text: str, query: str) -> str:
    at = max(0, text.lower().find(query.lower()) - AROUND // 2)
    part = text[at : at + AROUND + len(query)]
    return f"{'…' if at else ''}{part}{'…' if at + len(part) < len(text) else ''}"
