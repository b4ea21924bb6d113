"""Tell a run on a terminal: the reply as it comes on standard output, everything else as short lines beside it."""

from __future__ import annotations

from collections.abc import Iterable

from agents.command_line import plain
from runs import purposes
from runs.events import ENDS, Event
from runs.items import Call, Egress, Note, Question, Text, Thinking, Tool
from runs.models import Run
from runs.templatetags.run_format import duration, money, plural, tokens, word_for
from runs.timeline import Timeline
from runs.words import STATES

__all__ = ["Teller", "duration", "printed"]


class Teller:
    """Turns events, in order, into text for standard output and lines for standard error."""

    def __init__(self) -> None:
        self._has_text = False
        self._begins = True
        self._at_line_start = True
        self._tools: dict[str, str] = {}

    def tell(self, event: Event) -> tuple[str, list[str]]:
        """What this event adds: (text, lines). The lines come after the text."""
        data = event.data
        if event.kind == "text.delta":
            return self._text(data["text"]), []
        if event.kind in ENDS:
            return self._end(event)
        line = self._line(event)
        return (self._break() if line else ""), [line] if line else []

    def _text(self, text: str) -> str:
        text = plain(text).lstrip("\n") if self._begins else plain(text)
        if text:
            self._has_text, self._begins, self._at_line_start = True, False, text.endswith("\n")
        return text

    def _break(self) -> str:
        """Ends the line the reply stands in, so that what follows gets one of its own."""
        self._begins = True
        if self._at_line_start:
            return ""
        self._at_line_start = True
        return "\n"

    def _line(self, event: Event) -> str:
        data = event.data
        match event.kind:
            case "sandbox.progress":
                return f"· {plain(data['sentence'])}"
            case "note" | "budget.warning" | "budget.cut" | "budget.fallback" | "budget.back":
                return f"· {plain(data['text'])}"
            case "egress" if data["decision"] == "denied":
                return f"· refused {plain(data['host'])}:{data['port']}: {plain(data['reason'])}"
            case "tool.started":
                tool, args = data["tool"], data.get("args") or {}
                self._tools[data["call_id"]] = plain(tool)
                return f"→ {plain(tool)} {plain(purposes.detail(tool, args))}".rstrip()
            case "tool.completed":
                words = ["ok" if data["ok"] else "failed", duration(data.get("duration_ms"))]
                return f"  {self._tools.get(data['call_id'], 'tool')}: {', '.join(word for word in words if word)}"
            case "approval.requested":
                if data.get("kind") == "question":
                    return f"? {plain(data.get('description', ''))}: {plain(data['command'])}"
                why = f" ({plain(data['description'])})" if data.get("description") else ""
                return f"? Waiting for you to allow{why}: {plain(data['command'])}"
            case "approval.decided":
                by = " by a rule" if data.get("via") == "rule" else ""
                note = f": {plain(data['note'])}" if data.get("note") else ""
                answer = f": {plain(data['answer'])}" if data.get("answer") else ""
                return f"  {plain(data['choice'])}{by}{answer}{note}"
        return ""

    def _end(self, event: Event) -> tuple[str, list[str]]:
        data, outcome = event.data, ENDS[event.kind]
        text = "" if self._has_text else self._text(data.get("text", ""))
        text += self._break()
        if outcome == "completed":
            return text, []
        sentence = data.get("message") or data.get("reason") or ""
        why = " ".join(part for part in (plain(sentence), plain(data.get("action", ""))) if part)
        return text, [f"{STATES[outcome].capitalize()}{': ' + why if why else '.'}"]


def printed(run: Run, happened: Iterable[Event]) -> str:
    """A run as a page of plain text: what was asked, the steps, how it ended and what it used."""
    timeline = Timeline(happened)
    used = [
        duration(run.duration_ms) or "not ended",
        plural(run.model_calls, "model call"),
        plural(run.tool_calls, "tool call"),
        f"{tokens(run.input_tokens)} tokens in, {tokens(run.output_tokens)} out",
        money(run.cost, run.cost_is_partial),
    ]
    lines = [
        f"{run.pk}  {plain(run.agent.name)}  {STATES[run.status]}",
        f"fingerprint {run.fingerprint}",
        "",
        *(f"> {line}" for line in plain(run.message.text).split("\n")),
        "",
    ]
    for item in timeline.items:
        lines += _item_lines(item)
    if timeline.end is not None and timeline.end.message:
        lines += [plain(f"{timeline.end.message} {timeline.end.action}".strip()), ""]
    return "\n".join([*lines, ", ".join(used)])


def _item_lines(item: object) -> list[str]:
    if isinstance(item, Text):
        return [plain(item.text).strip("\n"), ""]
    if isinstance(item, Thinking):
        return [f"· thought for {duration(item.duration_ms)}"]
    if isinstance(item, Note):
        return [f"· {plain(item.sentence)}"]
    if isinstance(item, Question):
        return [f"? {plain(item.command)}: {item.choice or 'not decided'}"]
    if isinstance(item, Call):
        return [f"· {plain(item.model)} failed: {plain(item.error_message)}"] if item.error_code else []
    if isinstance(item, Egress):
        times = f", {item.count} times" if item.count > 1 else ""
        return [f"· {'reached' if item.allowed else 'refused'} {plain(item.host)}:{item.port}{times}"]
    if isinstance(item, Tool):
        took = duration(item.duration_ms)
        head = f"→ {plain(item.tool)} {plain(item.detail)}".rstrip()
        state = ", ".join(word for word in (word_for(item.state), took) if word)
        output = plain(item.output).strip("\n")
        return [f"{head}  [{state}]", *(f"    {line}" for line in output.split("\n") if output), ""]
    return []
