"""The two formats in which a runtime asks a model: OpenAI's chat completions and Anthropic's Messages.

A run speaks one of them from its first call to its last, because its provider does; the router passes through."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from typing import Any, Protocol

from sandboxes.inference import answers, conversations, failures, messages, requests
from sandboxes.inference.answers import Narrator
from sandboxes.inference.conversations import Reading
from sandboxes.inference.failures import Failure
from sandboxes.inference.requests import ModelRequest
from sandboxes.inference.usage import Usage


class Tap(Protocol):
    """Reads one answer as it passes; ``StreamTap`` says what each part means."""

    has_begun: bool
    has_finished: bool
    is_done: bool
    error: dict[str, Any] | None
    broken: int

    @property
    def usage(self) -> Usage: ...
    def feed(self, data: bytes) -> bytes: ...
    def end(self) -> bytes: ...
    def whole(self, body: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Wire:
    """One format. ``path`` is where it is asked below a lane, ``endpoint`` where below a provider's address."""

    name: str
    title: str
    path: str
    endpoint: str
    prepare: Callable[[bytes, str, Iterable[tuple[bytes, bytes]]], ModelRequest]
    read_request: Callable[[dict[str, Any]], Reading]
    tap: Callable[[Narrator | None, Set[str], Callable[[], str]], Tap]
    error: Callable[[str, str, int, str], bytes]
    told_midway: Callable[[dict[str, Any]], int]

    def failure_body(self, failure: Failure) -> bytes:
        """What the runtime is told of a failure; the provider's own words where it learns from them."""
        return failure.verbatim or self.error(failure.sentence, failure.code, failure.status, failure.action)

    def error_event(self, failure: Failure) -> bytes:
        """The same inside a stream that has begun, as the last thing in it."""
        head = b"event: error\n" if self.name == "anthropic" else b""
        return head + b"data: " + self.error(failure.sentence, failure.code, failure.status, failure.action) + b"\n\n"

    def midway(self, document: dict[str, Any]) -> Failure:
        """The failure in an error that came inside a stream; the runtime has seen it there."""
        return failures.classify(self.told_midway(document), json.dumps(document).encode(), {})


def _openai_status(document: dict[str, Any]) -> int:
    error = document.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code <= 599 else 502


OPENAI = Wire(
    "openai",
    "chat completions",
    "v1/chat/completions",
    "chat/completions",
    lambda body, model, headers: requests.prepare(body, model),
    conversations.read_request,
    answers.StreamTap,
    lambda sentence, code, status, action: failures.error_body(sentence, code, action=action),
    _openai_status,
)
ANTHROPIC = Wire(
    "anthropic",
    "Messages",
    "v1/messages",
    "messages",
    messages.prepare,
    messages.read_request,
    messages.MessagesTap,
    lambda sentence, code, status, action: messages.error_body(sentence, code, status=status, action=action),
    messages.status_of,
)
WIRES = (OPENAI, ANTHROPIC)


def of_kind(kind: str) -> Wire:
    """The wire a provider of this kind speaks."""
    return ANTHROPIC if kind == "anthropic" else OPENAI


def by_path(path: str) -> Wire | None:
    """The wire that is asked at this path below a lane."""
    return next((wire for wire in WIRES if wire.path == path), None)
