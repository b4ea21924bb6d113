"""The rehearsal model as an upstream: its script as a provider's bytes, in this process, at its own pace."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sandboxes.inference.calls import RouteTarget
from sandboxes.inference.conversations import text_of
from sandboxes.inference.failures import CUT_OFF, ProviderError
from sandboxes.inference.rehearsal import (
    Cut,
    Fail,
    Hang,
    Pace,
    Say,
    Step,
    Think,
    ToolCall,
    conversation_digest,
    script,
)
from sandboxes.inference.rehearsal_lines import FAILURES
from sandboxes.inference.requests import ModelRequest
from sandboxes.inference.upstreams import Answer

_CREATED = 0  # a clock would make answers differ
_CHARACTERS_PER_TOKEN = 4
_ARGS_PIECE = 24


class RehearsalUpstream:
    """Answers in process; failures, hanging and broken connections look as they do from a real provider.

    ``options`` of the route: ``delay_s``, the wait before each word (default none)."""

    async def open(self, target: RouteTarget, request: ModelRequest) -> Answer:
        messages = request.document.get("messages") or []
        tools = request.document.get("tools") or []
        delay_s = float(dict(target.options).get("delay_s") or 0.0)
        steps = script(messages, tools, delay_s=delay_s)
        if any(isinstance(step, Hang) for step in steps):
            await asyncio.get_running_loop().create_future()
        for step in steps:
            if isinstance(step, Fail):
                status, headers, body = FAILURES[step.kind]
                return ScriptedAnswer(status, headers, iter([(0.0, body)]))
        usage = count_usage(messages, tools, steps)
        digest = f"chatcmpl-{conversation_digest([m for m in messages if isinstance(m, dict)])[:24]}"
        if not request.streaming:
            return ScriptedAnswer(200, {"content-type": "application/json"}, whole(steps, digest, target.model, usage))
        return ScriptedAnswer(200, {"content-type": "text/event-stream"}, stream(steps, digest, target.model, usage))

    async def close(self) -> None:
        return None


class ScriptedAnswer:
    """Pieces of an answer, each with the wait before it; None in place of bytes breaks the connection."""

    def __init__(self, status: int, headers: Mapping[str, str], pieces: Iterator[tuple[float, bytes | None]]) -> None:
        self.status, self.headers, self._pieces = status, headers, pieces

    async def read(self) -> bytes:
        for wait_s, piece in self._pieces:
            await asyncio.sleep(wait_s)
            if piece is None:
                raise ProviderError(CUT_OFF, detail="rehearsed")
            return piece
        return b""

    def close(self) -> None:
        self._pieces = iter(())


def stream(
    steps: Sequence[Step], answer_id: str, model: str, usage: dict[str, Any]
) -> Iterator[tuple[float, bytes | None]]:
    """The answer as server-sent events: (wait before it, bytes)."""

    def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return _event(answer_id, model, [{"index": 0, "delta": delta, "finish_reason": finish}])

    delay_s, calls = 0.0, 0
    yield 0.0, event({"role": "assistant", "content": ""})
    for step in steps:
        match step:
            case Pace():
                delay_s = step.delay_s
            case Think() | Say():
                key = "content" if isinstance(step, Say) else "reasoning_content"
                for word in _words(step.text):
                    yield delay_s, event({key: word})
            case ToolCall():
                for delta in _call_deltas(step, calls):
                    yield delay_s, event({"tool_calls": [delta]})
                calls += 1
            case Cut():
                yield delay_s, None
                return
    yield 0.0, event({}, "tool_calls" if calls else "stop")
    yield 0.0, _event(answer_id, model, [], usage=usage) + b"data: [DONE]\n\n"


def whole(
    steps: Sequence[Step], answer_id: str, model: str, usage: dict[str, Any]
) -> Iterator[tuple[float, bytes | None]]:
    """The answer as one JSON document, after the time its words would have taken."""
    delay_s = next((step.delay_s for step in steps if isinstance(step, Pace)), 0.0)
    said = "".join(step.text for step in steps if isinstance(step, Say))
    if any(isinstance(step, Cut) for step in steps):
        yield 0.0, b'{"id":'
        yield delay_s, None
        return
    message: dict[str, Any] = {"role": "assistant", "content": said}
    thought = "".join(step.text for step in steps if isinstance(step, Think))
    if thought:
        message["reasoning_content"] = thought
    calls = [_whole_call(step) for step in steps if isinstance(step, ToolCall)]
    if calls:
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    document = {"id": answer_id, "object": "chat.completion", "created": _CREATED, "model": model}
    document |= {"choices": [choice], "usage": usage}
    yield min(delay_s * len(_words(said)), 30.0), json.dumps(document, ensure_ascii=False).encode()


def count_usage(messages: Sequence[Any], tools: Sequence[Any], steps: Sequence[Step]) -> dict[str, Any]:
    """Token counts: four characters are one token, rounded up, of what was really sent and said."""
    prompt = sum(len(text_of(m.get("content"))) for m in messages if isinstance(m, dict))
    prompt += sum(len(json.dumps(m["tool_calls"])) for m in messages if isinstance(m, dict) and m.get("tool_calls"))
    prompt += len(json.dumps(tools)) if tools else 0
    thought = sum(len(step.text) for step in steps if isinstance(step, Think))
    said = sum(len(step.text) for step in steps if isinstance(step, Say))
    said += sum(len(json.dumps(step.args)) + len(step.name) for step in steps if isinstance(step, ToolCall))
    given, taken, reasoned = _tokens(prompt), _tokens(said) + _tokens(thought), _tokens(thought)
    return {
        "prompt_tokens": given,
        "completion_tokens": taken,
        "total_tokens": given + taken,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reasoned},
    }


def _call_deltas(call: ToolCall, index: int) -> Iterator[dict[str, Any]]:
    """The name first, then the arguments in pieces, as providers send them."""
    yield {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
    args = json.dumps(call.args, ensure_ascii=False)
    for start in range(0, len(args), _ARGS_PIECE):
        yield {"index": index, "function": {"arguments": args[start : start + _ARGS_PIECE]}}


def _whole_call(call: ToolCall) -> dict[str, Any]:
    arguments = json.dumps(call.args, ensure_ascii=False)
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _event(answer_id: str, model: str, choices: list[dict[str, Any]], **more: Any) -> bytes:
    chunk = {"id": answer_id, "object": "chat.completion.chunk", "created": _CREATED, "model": model}
    return b"data: " + json.dumps(chunk | {"choices": choices} | more, ensure_ascii=False).encode() + b"\n\n"


def _words(text: str) -> list[str]:
    return re.findall(r"\S+\s*|\s+", text)


def _tokens(characters: int) -> int:
    return -(-characters // _CHARACTERS_PER_TOKEN)
