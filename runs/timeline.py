"""Fold a run's events into what a person sees: text, thinking, tool rows, notes, questions and the end.

Pure: ``Timeline.apply`` takes one event and returns the items it made or changed. The same fold draws a
finished page, a page in mid-run and each live step, so they cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from agents.reach import LEARNING
from runs import tool_words
from runs.events import ENDS, Event
from runs.items import Call, Egress, End, Item, Note, Notice, Question, Text, Thinking, Tool


class Timeline:
    """The items of one run, in order, and the last event they include."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.items: list[Item] = []
        self.seq = 0
        self.started_at: datetime | None = None
        self._by_id: dict[str, Item] = {}
        self._reached: dict[tuple[str, int, str, bool], Egress] = {}
        for event in events:
            self.apply(event)

    @property
    def end(self) -> End | None:
        return self.items[-1] if self.items and isinstance(self.items[-1], End) else None

    @property
    def steps(self) -> list[Tool]:
        return [item for item in self.items if isinstance(item, Tool)]

    def apply(self, event: Event) -> list[Item]:
        """The items this event made or changed, in page order; none for an event already seen, of a kind
        nobody knows, or after the end."""
        if event.seq <= self.seq:
            return []
        self.seq = event.seq
        if self.end is not None:
            return []
        if event.kind in ENDS:
            return self._finish(event)
        handler = getattr(self, "_on_" + event.kind.replace(".", "_"), None)
        return handler(event) if handler else []

    # one method per kind of event ---------------------------------------------------------------

    def _on_run_queued(self, event: Event) -> list[Item]:
        self.started_at = event.at
        return []

    def _on_sandbox_progress(self, event: Event) -> list[Item]:
        note = Note("preparing", event.seq, event.at, sentence=event.data["sentence"], live=True)
        if (known := self._by_id.get(note.id)) is not None and isinstance(known, Note):
            known.sentence, known.live = note.sentence, True
            return [known]
        return [*self._settle(), self._add(note)]

    def _on_run_started(self, event: Event) -> list[Item]:
        note = self._by_id.get("preparing")
        if isinstance(note, Note) and note.live:
            note.live = False
            return [note]
        return []

    def _on_text_delta(self, event: Event) -> list[Item]:
        last = self.items[-1] if self.items else None
        if isinstance(last, Text) and last.live:
            last.text += event.data["text"]
            return [last]
        text = event.data["text"].lstrip("\n")
        if not text:
            return []
        changed = self._settle()
        return [*changed, self._add(Text(f"text-{event.seq}", event.seq, event.at, text=text))]

    def _on_reasoning_delta(self, event: Event) -> list[Item]:
        last = self.items[-1] if self.items else None
        if isinstance(last, Thinking) and last.live:
            last.text += event.data["text"]
            last.duration_ms = (event.at - last.at).total_seconds() * 1000
            return [last]
        changed = self._settle()
        return [*changed, self._add(Thinking(f"think-{event.seq}", event.seq, event.at, text=event.data["text"]))]

    def _on_tool_started(self, event: Event) -> list[Item]:
        if self._tool(event) is not None:
            return []
        data, changed = event.data, self._settle()
        item = Tool(
            f"tool-{data['call_id']}",
            event.seq,
            event.at,
            call_id=data["call_id"],
            tool=data["tool"],
            args=_arguments(data.get("args")),
            parent=data.get("parent", ""),
        )
        return [*changed, self._add(item)]

    def _on_tool_completed(self, event: Event) -> list[Item]:
        item = self._tool(event)
        if item is None:
            return []
        if event.data.get("result") is not None:
            item.result = event.data["result"]
        item.state = "ok" if event.data["ok"] and item.exit_code in (None, 0) else "failed"
        if event.data.get("stopped"):
            item.state = "cancelled"
        item.duration_ms = event.data.get("duration_ms")
        return [item]

    def _on_tool_result(self, event: Event) -> list[Item]:
        item = self._tool(event)
        if item is None:
            return []
        item.result = event.data["result"]
        if item.exit_code not in (None, 0) and item.state != "cancelled":
            item.state = "failed"
        return [item]

    def _on_approval_requested(self, event: Event) -> list[Item]:
        if f"question-{event.data['id']}" in self._by_id:
            return []
        data, changed = event.data, self._settle()
        item = Question(
            f"question-{data['id']}",
            event.seq,
            event.at,
            approval_id=data["id"],
            asked=data.get("kind", "command"),
            tier=data.get("tier", ""),
            command=data["command"],
            description=data.get("description", ""),
            subject_hash=data.get("subject_hash", ""),
            expires_at=data.get("expires_at", ""),
            options=tuple(data.get("options", ())),
            reviewed_until=data.get("reviewed_until", ""),
        )
        return [*changed, self._add(item)]

    def _on_approval_reviewed(self, event: Event) -> list[Item]:
        item = self._by_id.get(f"question-{event.data['id']}")
        if not isinstance(item, Question):
            return []
        item.reviewed, item.reviewed_until = dict(event.data), ""
        return [item]

    def _on_approval_decided(self, event: Event) -> list[Item]:
        item = self._by_id.get(f"question-{event.data['id']}")
        if not isinstance(item, Question):
            return []
        item.choice, item.by = event.data["choice"], event.data.get("by", "")
        item.via, item.rule, item.note = (event.data.get(name, "") for name in ("via", "rule", "note"))
        item.answer = event.data.get("answer", "")
        return [item]

    def _on_model_call(self, event: Event) -> list[Item]:
        data = event.data
        names = (
            "model",
            "ttft_ms",
            "duration_ms",
            "input_tokens",
            "output_tokens",
            "cost",
            "error_code",
            "error_message",
            "by",
            "name",
        )
        known = {name: data[name] for name in names if data.get(name) is not None}
        # It is reported when it has ended; what a person reads is when it began.
        began = event.at - timedelta(milliseconds=data.get("duration_ms") or 0)
        return [self._add(Call(f"call-{event.seq}", event.seq, began, **known))]

    def _on_egress(self, event: Event) -> list[Item]:
        data = event.data
        allowed = data["decision"] == "allowed"
        about = (data["host"], data["port"], data.get("binary", ""), allowed)
        item = self._reached.get(about)
        if item is None:
            item = self._reached[about] = Egress(f"egress-{event.seq}", event.seq, event.at, *about)
            self._add(item)
        item.count += data.get("count", 1)
        item.reason = data.get("reason", "")
        item.named = bool(data.get("rule"))
        item.learned = allowed and data.get("rule") == LEARNING
        return [item]

    def _on_note(self, event: Event) -> list[Item]:
        changed = self._settle()
        return [*changed, self._add(Note(f"note-{event.seq}", event.seq, event.at, sentence=event.data["text"]))]

    def _on_budget_warning(self, event: Event) -> list[Item]:
        return [self._add(Notice(f"note-{event.seq}", event.seq, event.at, sentence=event.data.get("text", "")))]

    _on_budget_cut = _on_budget_fallback = _on_budget_back = _on_budget_warning

    def _on_tool_server_call(self, event: Event) -> list[Item]:
        told, id = tool_words.sentence(event.data), f"note-{event.data.get('call', event.seq)}"
        begun, ended = self._by_id.get(id), self._by_id.get(f"{id}-end")
        known = ended or begun
        if not isinstance(known, Notice):
            return [self._add(Notice(id, event.seq, event.at, sentence=told))]
        if known is ended or known is self.items[-1]:
            known.sentence = told
            return [known]
        # A person was asked in between: what came of it stands below that, as it came.
        known.sentence = tool_words.waited(event.data)
        return [known, self._add(Notice(f"{id}-end", event.seq, event.at, sentence=told))]

    def _on_mcp_call(self, event: Event) -> list[Item]:
        """A call that went through is a tool's own line; one that did not is said."""
        data = event.data
        if data["outcome"] not in ("denied", "unavailable", "timeout", "gone"):
            return []
        why = data.get("reason") or {"timeout": "it took too long", "gone": "the server ended"}.get(data["outcome"], "")
        text = f"The MCP server {data['server']} did not do {data['tool'] or 'it'}: {why}".rstrip(": ")
        return [self._add(Notice(f"note-{event.seq}", event.seq, event.at, sentence=text))]

    def _on_mcp_sampling(self, event: Event) -> list[Item]:
        """A model that was asked is a model call of its own line; a server that got no answer is said."""
        data = event.data
        if data["outcome"] == "ok":
            return []
        text = f"The MCP server {data['server']} wanted to ask a model and got no answer: {data.get('reason', '')}"
        return [self._add(Notice(f"note-{event.seq}", event.seq, event.at, sentence=text.rstrip(": ")))]

    def _finish(self, event: Event) -> list[Item]:
        changed: list[Item] = []
        for item in self.items:
            if isinstance(item, Text | Thinking | Note) and item.live:
                item.live = False
            elif isinstance(item, Tool) and item.state == "running":
                item.state = "unknown"
            elif isinstance(item, Question) and not item.choice:
                item.choice = "withdrawn"  # nobody can decide it any more
            else:
                continue
            changed.append(item)
        data = event.data
        item = End(
            "end",
            event.seq,
            event.at,
            outcome=ENDS[event.kind],
            message=data.get("message") or data.get("reason", ""),
            action=data.get("action", ""),
            code=data.get("code", ""),
            by=data.get("by", ""),
            text=data.get("text", ""),
        )
        return [*changed, self._add(item)]

    # -------------------------------------------------------------------------------------------

    def _add(self, item: Item) -> Item:
        # A model call is reported when it has ended, while its text may still be growing, and what is reached
        # comes when it comes: both are drawn before the live item, so that text is never cut in two by a figure.
        live = self.items and isinstance(self.items[-1], Text | Thinking) and self.items[-1].live
        if isinstance(item, Call | Egress | Notice) and live:
            self.items.insert(len(self.items) - 1, item)
        else:
            self.items.append(item)
        self._by_id[item.id] = item
        return item

    def _tool(self, event: Event) -> Tool | None:
        item = self._by_id.get(f"tool-{event.data['call_id']}")
        return item if isinstance(item, Tool) else None

    def _settle(self) -> list[Item]:
        """Text or thinking that was growing is complete, because something else follows."""
        changed: list[Item] = []
        for item in self.items[-2:]:
            if isinstance(item, Text | Thinking) and item.live:
                item.live = False
                changed.append(item)
        return changed


def _arguments(value: Any) -> dict[str, Any]:
    """A tool's arguments as an object: a model may write anything, and what is too deep is cut to a text."""
    if isinstance(value, dict):
        return value
    return {} if value is None else {"arguments": value}
