"""Anthropic's Messages API on a real socket, scripted: the model's name in the request says how it behaves.

Events and errors have the shapes of the public reference and of captures of the runtime. What it cannot prove: that
the real service words its errors, orders its events or closes its connections like this; anything about TLS.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.sandboxes.inference.upstream import Provider

USAGE = {"input_tokens": 60, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 40, "output_tokens": 1}


def event(kind: str, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, **fields}, ensure_ascii=False).encode()
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def start(**usage: Any) -> bytes:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None}
    return event("message_start", message={**message, "usage": {**USAGE, **usage}})


def block(index: int, opening: dict[str, Any], *deltas: dict[str, Any], closes: bool = True) -> list[bytes]:
    parts = [event("content_block_start", index=index, content_block=opening)]
    parts += [event("content_block_delta", index=index, delta=delta) for delta in deltas]
    return [*parts, event("content_block_stop", index=index)] if closes else parts


def text(index: int, *words: str) -> list[bytes]:
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": word} for word in words))


def tool(index: int, id: str, name: str, *pieces: str, closes: bool = True) -> list[bytes]:
    opening = {"type": "tool_use", "id": id, "name": name, "input": {}}
    return block(
        index, opening, *({"type": "input_json_delta", "partial_json": piece} for piece in pieces), closes=closes
    )


def end(reason: str = "end_turn") -> list[bytes]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return [event("message_delta", delta=delta, usage={"output_tokens": 20}), event("message_stop")]


THOUGHT = [
    *block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Let me "},
        {"type": "thinking_delta", "thinking": "think."},
        {"type": "signature_delta", "signature": "c2ln"},
    )
]

STREAMS: dict[str, list[bytes]] = {
    "text": [start(), event("ping"), *text(0, "Hello ", "wörld."), *end()],
    "reasoning": [start(), *THOUGHT, *text(1, "Hello."), *end()],
    "tools": [
        start(),
        *text(0, "I look."),
        *tool(1, "toolu_a", "terminal", '{"comm', 'and": "ls"}'),
        *tool(2, "toolu_b", "read_file", '{"path": "x"}'),
        *end("tool_use"),
    ],
    "no-arguments": [start(), *tool(0, "toolu_a", "todo"), *end("tool_use")],
    "cut-by-length": [start(), *tool(0, "toolu_a", "terminal", '{"command": "rm', closes=False), *end("max_tokens")],
    "overloaded-midway": [
        start(),
        *text(0, "Hel")[:2],
        event("error", error={"type": "overloaded_error", "message": "Overloaded"}),
    ],
    "ends-early": [start(), *text(0, "Hel")[:2]],
}

ERRORS: dict[str, tuple[int, str, str, dict[str, str]]] = {
    "400": (400, "invalid_request_error", "max_tokens: 99999999 > 64000", {}),
    "401": (401, "authentication_error", "invalid x-api-key sk-secret-key", {}),
    "billing": (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", {}),
    "403": (403, "permission_error", "Your API key may not use this model.", {}),
    "404": (404, "not_found_error", "model: claude-nothing", {}),
    "413": (413, "request_too_large", "Request exceeds the maximum size", {}),
    "429": (429, "rate_limit_error", "Number of requests has exceeded your limit", {"Retry-After": "7"}),
    "500": (500, "api_error", "Internal server error", {}),
    "529": (529, "overloaded_error", "Overloaded", {}),
    "overflow": (400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum", {}),
}

WHOLE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "Hello."}],
    "stop_reason": "end_turn",
    "usage": {**USAGE, "output_tokens": 20},
}


class Anthropic(Provider):
    """What it saw, its address, and its answers."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        document = json.loads(body)
        self.requests.append(document)
        self.bodies.append(body)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        model = document["model"]
        if model in ERRORS:
            status, kind, message, headers = ERRORS[model]
            error = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
            return web.json_response(error, status=status, headers=headers)
        if model == "html-502":
            return web.Response(text="<html>Bad Gateway", content_type="text/html", status=502)
        if model == "hang":
            return await self._hang(request, None)
        if model == "works":
            STREAMS[model] = _working(document)
        if not document.get("stream"):
            return web.json_response(WHOLE)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "request-id": "req_1"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        for part in STREAMS["text" if model in ("cut", "idle") else model][: 4 if model in ("cut", "idle") else None]:
            await response.write(part)
        if model == "idle":
            return await self._hang(request, response)
        if model == "cut":
            request.transport.close()  # type: ignore[union-attr]
        return response


def _working(document: dict[str, Any]) -> list[bytes]:
    """Thinks, asks for one command, and repeats what it printed."""
    last = document["messages"][-1]["content"]
    results = [part for part in last if isinstance(part, dict) and part.get("type") == "tool_result"]
    if results:
        return [start(), *text(0, "It printed: ", str(results[0]["content"])), *end()]
    asked = tool(1, "toolu_work", "terminal", '{"command": ', '"echo from-$(uname -n)"}')
    return [start(), *THOUGHT, *asked, *end("tool_use")]


@asynccontextmanager
async def running_anthropic() -> AsyncIterator[Anthropic]:
    provider = Anthropic()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/messages", provider.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    provider.base_url = f"http://{host}:{port}"
    try:
        yield provider
    finally:
        provider.go_on.set()
        await runner.cleanup()
