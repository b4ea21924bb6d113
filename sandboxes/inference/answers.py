"""Reading one answer as it passes: first token, usage, reasoning, tool calls; and ids for calls that have none.

Bytes go through as they came. Two things differ: a line is passed on when it is complete (a call without an
id must be rewritten before the runtime sees any of it), and such a line is written anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Any, Protocol

from sandboxes.inference.usage import UNKNOWN, Usage, read_usage

MAX_LINE = 4 * 1024 * 1024  # a longer line is passed on unread rather than held

# A chunk that holds none of these, and comes after the first token while no tool call is open, is plain text.
_MARKS = (b"reasoning", b"tool_calls", b'"usage"', b'"finish_reason":"', b'"finish_reason": "', b"[DONE]", b'"error"')


class Narrator(Protocol):
    """Hears what one answer says."""

    def reasoning(self, text: str) -> None: ...
    def proposed(self, call_id: str, name: str) -> None: ...
    def requested(self, call_id: str, name: str, args: dict[str, Any]) -> None: ...


@dataclass(slots=True)
class _Call:
    id: str  # what the runtime gets
    given: str  # what the provider sent, "" if nothing
    name: str = ""
    args: str = ""

    def is_whole(self) -> bool:
        try:
            json.loads(self.args)
        except ValueError:
            return False
        return True


class StreamTap:
    """Reads one answer, streamed (``feed``, then ``end``) or not (``whole``).

    ``taken`` are the call ids that may not come again: the runtime drops a call whose id it has seen, and
    some servers number from zero in every answer. Without a ``narrator`` nothing is told, ids are still mended.
    """

    def __init__(self, narrator: Narrator | None, taken: Set[str], new_id: Callable[[], str]) -> None:
        self._narrator = narrator
        self._taken = taken
        self._new_id = new_id
        self._here: set[str] = set()  # ids of this answer
        self._calls: dict[tuple[int, int], _Call] = {}  # still open, by (choice, index)
        self._held = b""
        self._skipping = False  # inside an overlong line
        self.usage: Usage = UNKNOWN
        self.has_begun = False  # a first token, thought or tool call has passed
        self.has_finished = False  # a finish_reason has passed
        self.is_done = False  # [DONE] has passed
        self.error: dict[str, Any] | None = None  # an error sent as a chunk
        self.broken = 0  # lines that could not be read

    def feed(self, data: bytes) -> bytes:
        """What to pass on for these bytes; may be empty, or hold bytes of an earlier call."""
        if not self._held and not self._skipping and data[-1:] == b"\n" and self._is_plain(data):
            return data
        return self._by_lines(data)

    def _is_plain(self, data: bytes) -> bool:
        """Whether whole lines hold nothing but text, of which the first token is known already."""
        if not self.has_begun or self._calls:
            return False
        for mark in _MARKS:  # noqa: SIM110 - a generator would cost as much as the search
            if mark in data:
                return False
        return True

    def end(self) -> bytes:
        """What is still held; call after the last bytes of an answer that ended well."""
        rest, self._held = self._held, b""
        rest = self._line(rest) if rest and not self._skipping else rest
        if self.is_done or self.has_finished:
            self._close_all()
        return rest

    def whole(self, body: bytes) -> bytes:
        """A non-streaming answer, read at once; the bytes to pass on."""
        try:
            document = json.loads(body)
            changed = self._document(document, part="message")
            self._close_all()
        except Exception:
            self.broken += 1
            return body
        return _dump(document) if changed else body

    def _by_lines(self, data: bytes) -> bytes:
        data = self._held + data
        cut = data.rfind(b"\n") + 1
        lines, self._held = data[:cut], data[cut:]
        passed = b"".join(map(self._line, lines.splitlines(keepends=True))) if lines else b""
        if len(self._held) > MAX_LINE:
            self.broken += 0 if self._skipping else 1
            self._skipping = True
            passed, self._held = passed + self._held, b""
        return passed

    def _line(self, line: bytes) -> bytes:
        """The line to pass on: the same, unless a call in it needed an id."""
        if self._skipping:
            self._skipping = False
            return line
        if line[:5] != b"data:" or self._is_plain(line):
            return line
        payload = line[5:].strip()
        if payload == b"[DONE]":
            self.is_done = True
            self._close_all()
            return line
        try:
            document = json.loads(payload)
            changed = self._document(document, part="delta")
        except Exception:
            self.broken += 1
            return line
        return b"data: " + _dump(document) + line[len(line.rstrip()) :] if changed else line

    def _document(self, document: Any, *, part: str) -> bool:
        """Read one chunk (or answer); whether it was changed."""
        if document.get("usage"):
            self.usage = read_usage(document["usage"])
        if document.get("error"):
            self.error = document
        changed = False
        for choice in document.get("choices") or ():
            number, delta = choice.get("index") or 0, choice.get(part) or {}
            thought = delta.get("reasoning_content") or delta.get("reasoning")
            calls = delta.get("tool_calls") or ()
            if thought or calls or delta.get("content"):
                self.has_begun = True
            if isinstance(thought, str) and thought and self._narrator is not None:
                self._narrator.reasoning(thought)
            for position, call in enumerate(calls):
                changed = self._tool(number, position if part == "message" else None, call) or changed
            if choice.get("finish_reason"):
                self.has_finished = True
                self._close_choice(number, cut_short=choice["finish_reason"] == "length")
        return changed

    def _tool(self, choice: int, position: int | None, part: dict[str, Any]) -> bool:
        key = (choice, position if position is not None else part.get("index") or 0)
        function = part.get("function") or {}
        given, name = str(part.get("id") or ""), str(function.get("name") or "")
        call = self._calls.get(key)
        if call is None or _begins_another(call, given, name):
            if call is not None:
                self._close(key)
            call = self._calls[key] = _Call(self._unique(given), given)
        if name and not call.name:
            call.name = name
            if self._narrator is not None:
                self._narrator.proposed(call.id, name)
            changed = given != call.id
        else:
            changed = bool(given) and given != call.id
        if changed:
            part["id"] = call.id
            part.setdefault("type", "function")
        args = function.get("arguments")
        if args:
            call.args += args if isinstance(args, str) else json.dumps(args)
        return changed

    def _unique(self, given: str) -> str:
        call_id = given if given and given not in self._taken and given not in self._here else self._new_id()
        self._here.add(call_id)
        return call_id

    def _close_choice(self, choice: int, *, cut_short: bool) -> None:
        for key in sorted(key for key in self._calls if key[0] == choice):
            self._close(key, cut_short=cut_short)

    def _close_all(self) -> None:
        for key in sorted(self._calls):
            self._close(key)

    def _close(self, key: tuple[int, int], *, cut_short: bool = False) -> None:
        call = self._calls.pop(key)
        if not call.name or self._narrator is None:
            return
        try:
            args = json.loads(call.args or "{}")
        except ValueError:
            if cut_short:  # the answer hit its length limit inside the arguments: this call was never made
                return
            args = None
        self._narrator.requested(call.id, call.name, args if isinstance(args, dict) else {"_raw": call.args})


def _begins_another(call: _Call, given: str, name: str) -> bool:
    """Whether a delta at an index in use starts a new call: some servers put every call at index 0. Others
    repeat name or id in every delta of the same call."""
    if given and call.given:
        return given != call.given
    return bool(name and call.name and not given and call.is_whole())


def _dump(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
