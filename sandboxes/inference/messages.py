"""Anthropic's Messages, as they pass: the request on its way out, its transcript, and the answer read line by line.

Nothing is translated: a runtime that speaks Messages gets a provider that does, byte for byte. The shapes are those
of Anthropic's public reference (version 2023-06-01) and of captures of the runtime.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Set
from typing import Any

from sandboxes.inference.answers import MAX_LINE, Narrator
from sandboxes.inference.conversations import CHILD_PROMPT, Reading, digest, text_of
from sandboxes.inference.requests import ModelRequest, read_document, with_model
from sandboxes.inference.usage import UNKNOWN, Usage, read_messages_usage

VERSION = "2023-06-01"
MAX_HEADER = 1_000

# A chunk without any of these, after the first token and outside a tool call, is plain text.
_MARKS = (b"tool_use", b"thinking", b"partial_json", b'"usage"', b"message_", b'"error"', b"content_block_st")

# What an error in the middle of a stream would have been as a status; Anthropic documents the pairs.
_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_TYPE = {status: name for name, status in _STATUS.items()}


def prepare(body: bytes, model: str, headers: Iterable[tuple[bytes, bytes]]) -> ModelRequest:
    """The request with the route's model in it, everything else as it came, and the two headers that say which
    dialect it is in. Raises Invalid if it is not a JSON object."""
    document = read_document(body)
    kept = {b"anthropic-version": VERSION}
    for name, value in headers:
        if name in (b"anthropic-version", b"anthropic-beta") and _is_harmless(value):
            kept[name] = value.decode("ascii")
    payload = with_model(body, document, model)
    document["model"] = model
    named = tuple((name.decode(), value) for name, value in kept.items())
    return ModelRequest(document, payload, bool(document.get("stream")), named)


def _is_harmless(value: bytes) -> bool:
    return len(value) <= MAX_HEADER and value.isascii() and value.decode("ascii").isprintable()


def error_body(sentence: str, code: str, *, status: int, action: str = "") -> bytes:
    """An error as Anthropic's clients expect it; ``code`` and ``action`` are ours and ignored by them."""
    error = {"type": _TYPE.get(status, "invalid_request_error" if status < 500 else "api_error"), "message": sentence}
    document = {"type": "error", "error": error, "logos": {"code": str(code), "action": action}}
    return json.dumps(document, ensure_ascii=False).encode()


def status_of(document: dict[str, Any]) -> int:
    """The status an error that came inside a stream would have had."""
    error = document.get("error")
    return _STATUS.get(str(error.get("type")), 502) if isinstance(error, dict) else 502


def read_request(document: dict[str, Any]) -> Reading:
    """What the tap needs of a request. Reads leniently: what it does not know is passed over."""
    system, opening = text_of(document.get("system")), ""
    names: dict[str, str] = {}
    call_ids: set[str] = set()
    results: list[tuple[str, str]] = []
    for message in document.get("messages") or ():
        if not isinstance(message, dict):
            continue
        blocks = [block for block in _blocks(message.get("content")) if isinstance(block, dict)]
        if message.get("role") == "assistant":
            results.clear()
            names |= {
                str(b["id"]): str(b.get("name") or "") for b in blocks if b.get("type") == "tool_use" and "id" in b
            }
            continue
        for block in blocks:
            if block.get("type") == "tool_result" and block.get("tool_use_id"):
                call_ids.add(str(block["tool_use_id"]))
                results.append((str(block["tool_use_id"]), text_of(block.get("content"))))
        opening = opening or "\n".join(str(block.get("text") or "") for block in blocks if block.get("type") == "text")
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


def _blocks(content: Any) -> list[Any]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return content if isinstance(content, list) else []


class MessagesTap:
    """Reads one answer, streamed (``feed``, then ``end``) or not (``whole``); the twin of ``StreamTap``.

    Anthropic numbers tool calls itself and never twice, so no byte is changed and none is held back: a line that is
    not whole yet is passed on, and told when its end has come, before that end is passed on."""

    def __init__(self, narrator: Narrator | None, taken: Set[str], new_id: Callable[[], str]) -> None:
        self._narrator = narrator
        self._calls: dict[int, list[str]] = {}  # open tool calls: index → [id, name, arguments so far]
        self._held = b""
        self._skipping = False
        self._told: dict[str, Any] = {}
        self.has_begun = False  # a first token, thought or tool call has passed
        self.has_finished = False  # a stop_reason has passed
        self.is_done = False  # message_stop has passed
        self.error: dict[str, Any] | None = None  # an error sent as an event
        self.broken = 0  # lines that could not be read

    @property
    def usage(self) -> Usage:
        return read_messages_usage(self._told) if self._told else UNKNOWN

    def feed(self, data: bytes) -> bytes:
        """What to pass on: the same bytes."""
        if not (self.has_begun and not self._calls and not self._held and not self._skipping and self._is_plain(data)):
            self._read(data)
        return data

    def end(self) -> bytes:
        """Call after the last bytes of an answer that ended well."""
        if self._held and not self._skipping:
            self._line(self._held)
        self._held = b""
        return b""

    def whole(self, body: bytes) -> bytes:
        """A non-streaming answer, read at once; the bytes to pass on."""
        try:
            document = json.loads(body)
            self._note_usage(document.get("usage"))
            for block in document.get("content") or ():
                self._block(block, whole=True)
        except Exception:
            self.broken += 1
        return body

    def _is_plain(self, data: bytes) -> bool:
        return data[-1:] == b"\n" and not any(mark in data for mark in _MARKS)

    def _read(self, data: bytes) -> None:
        data = self._held + data
        cut = data.rfind(b"\n") + 1
        for line in data[:cut].splitlines():
            if self._skipping:
                self._skipping = False
            else:
                self._line(line)
        self._held = data[cut:]
        if len(self._held) > MAX_LINE:
            self.broken += 0 if self._skipping else 1
            self._skipping, self._held = True, b""

    def _line(self, line: bytes) -> None:
        if line[:5] != b"data:":
            return
        try:
            self._event(json.loads(line[5:]))
        except Exception:
            self.broken += 1

    def _event(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if kind == "content_block_delta":
            self._delta(event.get("index") or 0, event["delta"])
        elif kind == "content_block_start":
            self._block(event["content_block"], index=event.get("index") or 0)
        elif kind == "content_block_stop":
            self._close(event.get("index") or 0)
        elif kind == "message_start":
            self._note_usage(event["message"].get("usage"))
        elif kind == "message_delta":
            self._note_usage(event.get("usage"))
            if event.get("delta", {}).get("stop_reason"):
                self.has_finished = True
                self._calls.clear()  # a block that never ended was cut short: that call is never made
        elif kind == "message_stop":
            self.is_done = True
        elif kind == "error":
            self.error = event

    def _note_usage(self, told: Any) -> None:
        """Counts are cumulative; a later event repeats some of an earlier one."""
        if isinstance(told, dict):
            self._told |= {name: value for name, value in told.items() if value is not None}

    def _block(self, block: dict[str, Any], *, index: int = 0, whole: bool = False) -> None:
        kind = block.get("type")
        if kind == "tool_use":
            self.has_begun = True
            call = [str(block.get("id") or ""), str(block.get("name") or ""), ""]
            if whole or block.get("input"):
                call[2] = json.dumps(block.get("input"))
            self._calls[index] = call
            if self._narrator is not None:
                self._narrator.proposed(call[0], call[1])
            if whole:
                self._close(index)
        elif kind == "thinking":
            self._think(block.get("thinking"))
        elif kind == "text" and block.get("text"):
            self.has_begun = True

    def _delta(self, index: int, delta: dict[str, Any]) -> None:
        kind = delta.get("type")
        if kind == "input_json_delta" and index in self._calls:
            self._calls[index][2] += delta.get("partial_json") or ""
        elif kind == "thinking_delta":
            self._think(delta.get("thinking"))
        elif kind == "text_delta":
            self.has_begun = True

    def _think(self, thought: Any) -> None:
        if isinstance(thought, str) and thought:
            self.has_begun = True
            if self._narrator is not None:
                self._narrator.reasoning(thought)

    def _close(self, index: int) -> None:
        call = self._calls.pop(index, None)
        if call is None or self._narrator is None or not call[1]:
            return
        try:
            args = json.loads(call[2] or "{}")
        except ValueError:
            args = None
        self._narrator.requested(call[0], call[1], args if isinstance(args, dict) else {"_raw": call[2]})
