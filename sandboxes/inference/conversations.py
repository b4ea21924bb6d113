"""Which conversation of a run a model request belongs to: the run's own, or a sub-agent's.

Nothing in a request names its conversation, so it is recognised: by the tool calls it answers, else by its
system prompt and first user message. Compression replaces early messages and with them the old ids, so what
is known about a conversation lives here, for as long as the lane is leased.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

OWN = ""  # the key of the run's own conversation

# Sub-agents of hermes-agent start their system prompt so. Only a hint: it decides whether the first
# conversation seen after a restart of Logos may be taken for the run's own.
CHILD_PROMPT = "You are a focused subagent"


@dataclass(frozen=True, slots=True)
class Reading:
    """What the tap needs of one request body."""

    streaming: bool
    has_tools: bool
    system: str  # digest of the system prompt
    opening: str  # digest of the first user message
    is_child: bool
    call_ids: frozenset[str]  # every tool call id in the transcript
    results: tuple[tuple[str, str], ...]  # (call id, content) after the last assistant message
    names: dict[str, str]  # tool names by call id


def read_request(document: dict[str, Any]) -> Reading:
    """Reads leniently: a message of unknown shape is passed over, never an error."""
    messages = [m for m in document.get("messages") or () if isinstance(m, dict)]
    system = opening = ""
    names: dict[str, str] = {}
    call_ids: set[str] = set()
    results: list[tuple[str, str]] = []
    for message in messages:
        role = message.get("role")
        if role == "assistant":
            results.clear()
            for call in message.get("tool_calls") or ():
                if isinstance(call, dict) and call.get("id"):
                    names[str(call["id"])] = str((call.get("function") or {}).get("name") or "")
        elif role == "tool" and message.get("tool_call_id"):
            call_id = str(message["tool_call_id"])
            call_ids.add(call_id)
            results.append((call_id, text_of(message.get("content"))))
        elif role == "user":
            opening = opening or text_of(message.get("content"))
        elif role in ("system", "developer"):
            system = system or text_of(message.get("content"))
    return Reading(
        streaming=bool(document.get("stream")),
        has_tools=bool(document.get("tools")),
        system=digest(system),
        opening=digest(opening),
        is_child=system.startswith(CHILD_PROMPT),
        call_ids=frozenset(call_ids | names.keys()),
        results=tuple(results),
        names=names,
    )


def text_of(content: Any) -> str:
    """A message's content as text: a string as it is, parts joined by their text, anything else as JSON."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        texts = [str(part["text"]) for part in content if "text" in part]
        if texts:
            return "\n".join(texts)
    return json.dumps(content, ensure_ascii=False)


@dataclass(slots=True)
class Conversation:
    """One transcript of a run, and the tool calls proposed in it."""

    key: str
    system: str
    opening: str
    call_ids: set[str] = field(default_factory=set)


class Conversations:
    """The conversations of one run, recognised request by request."""

    def __init__(self) -> None:
        self._known: list[Conversation] = []

    def owner_of(self, call_id: str) -> Conversation | None:
        return next((c for c in self._known if call_id in c.call_ids), None)

    def find(self, seen: Reading) -> Conversation:
        """The conversation this request continues, or a new one."""
        return self._by_results(seen) or self._by_opening(seen) or self._begin(seen)

    def _by_results(self, seen: Reading) -> Conversation | None:
        tail = [call_id for call_id, _ in seen.results]
        for wanted in (frozenset(tail), seen.call_ids):
            shared = [(len(wanted & c.call_ids), c) for c in self._known]
            count, best = max(shared, key=lambda pair: pair[0], default=(0, None))
            if count:
                return best
        return None

    def _by_opening(self, seen: Reading) -> Conversation | None:
        for conversation in self._known:
            if (conversation.system, conversation.opening) == (seen.system, seen.opening):
                return conversation
        # A compressed transcript opens with a summary and may hold no tool call we know; the run's own
        # conversation is then still known by its system prompt, which no sub-agent shares.
        for conversation in self._known:
            if conversation.key == OWN and conversation.system == seen.system and not seen.is_child:
                return conversation
        return None

    def _begin(self, seen: Reading) -> Conversation:
        own_is_known = any(c.key == OWN for c in self._known)
        key = seen.system[:6] + seen.opening[:10] if own_is_known or seen.is_child else OWN
        conversation = Conversation(key, seen.system, seen.opening)
        self._known.append(conversation)
        return conversation


def digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
