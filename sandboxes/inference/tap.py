"""The tap of one run: what its requests and answers say about reasoning, tool calls and tool results.

The tap watches, it never stands in the way: whatever it cannot read passes through unchanged and is counted.
It tells a call's proposal, arguments and result once each, however often the runtime repeats a request.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from typing import Any

from sandboxes.inference.answers import Narrator
from sandboxes.inference.calls import CallSink
from sandboxes.inference.conversations import Conversation, Conversations, Reading
from sandboxes.inference.wires import OPENAI, Tap, Wire

logger = logging.getLogger(__name__)


def new_call_id() -> str:
    """A tool call id for a provider that sends none: ``call_`` and 24 hex digits, as OpenAI's look."""
    return f"call_{secrets.token_hex(12)}"


class RunTap:
    """What one run's calls have told so far. Lives in the lease, because a retry or a compressed transcript
    starts from nothing."""

    def __init__(self, sink: CallSink, *, new_id: Callable[[], str] = new_call_id) -> None:
        self._sink = sink
        self._new_id = new_id
        self._conversations = Conversations()
        self._proposed: set[str] = set()
        self._requested: dict[str, str] = {}  # call id → tool name
        self._done: set[str] = set()
        self._tools_were_offered = False
        self.silent = False  # set once the run has ended: late calls are metered, not told
        self.mishaps = 0  # requests and sink calls that failed; never the runtime's problem

    def request(self, document: dict[str, Any], wire: Wire = OPENAI) -> Tap:
        """Read a request, tell the tool results it brings, and return the tap for its answer."""
        try:
            seen = wire.read_request(document)
            conversation = self._place(seen)
        except Exception:
            self._mishap("A model request could not be read for the timeline")
            return wire.tap(None, frozenset(), self._new_id)
        narrator = _RunNarrator(self, conversation) if conversation is not None else None
        self._tell_results(seen, conversation)
        if narrator is not None and not self._is_told(seen):
            narrator = None
        self._tools_were_offered = self._tools_were_offered or seen.has_tools
        return wire.tap(narrator, seen.call_ids | self._requested.keys(), self._new_id)

    def _is_told(self, seen: Reading) -> bool:
        # Side errands of the runtime (summaries, vision, compression, the approval judge) offer no tools and do
        # not stream. An agent without any tool streams all the same: its calls are told.
        return seen.has_tools or (seen.streaming and not self._tools_were_offered)

    def _place(self, seen: Reading) -> Conversation | None:
        if not self._is_told(seen):
            owners = (self._conversations.owner_of(call_id) for call_id, _ in seen.results)
            return next((owner for owner in owners if owner is not None), None)
        conversation = self._conversations.find(seen)
        conversation.call_ids |= seen.call_ids
        return conversation

    def _tell_results(self, seen: Reading, conversation: Conversation | None) -> None:
        if conversation is None:
            return
        for call_id, result in seen.results:
            if call_id not in self._done:
                self._done.add(call_id)
                name = self._requested.get(call_id) or seen.names.get(call_id, "")
                self.tell("tool_result", call_id, name, result, conversation=conversation.key)

    def propose(self, call_id: str, name: str, conversation: Conversation) -> None:
        conversation.call_ids.add(call_id)
        if call_id not in self._proposed:
            self._proposed.add(call_id)
            self.tell("tool_proposed", call_id, name, conversation=conversation.key)

    def ask(self, call_id: str, name: str, args: dict[str, Any], conversation: Conversation) -> None:
        conversation.call_ids.add(call_id)
        if call_id not in self._requested:
            self._requested[call_id] = name
            self.tell("tool_requested", call_id, name, args, conversation=conversation.key)

    def tell(self, what: str, *values: Any, **named: Any) -> None:
        """Call the sink; its failures are logged here and reach nobody else."""
        if self.silent:
            return
        try:
            getattr(self._sink, what)(*values, **named)
        except Exception:
            self._mishap(f"The run did not take a {what}")

    def _mishap(self, sentence: str) -> None:
        self.mishaps += 1
        logger.exception(sentence)


class _RunNarrator(Narrator):
    """Tells the run about one answer."""

    def __init__(self, tap: RunTap, conversation: Conversation) -> None:
        self._tap, self._conversation = tap, conversation

    def reasoning(self, text: str) -> None:
        self._tap.tell("reasoning", text, conversation=self._conversation.key)

    def proposed(self, call_id: str, name: str) -> None:
        self._tap.propose(call_id, name, self._conversation)

    def requested(self, call_id: str, name: str, args: dict[str, Any]) -> None:
        self._tap.ask(call_id, name, args, self._conversation)
