"""A scripted OpenAI-compatible provider on a real socket; the model's name in the request says how it behaves.

What it cannot prove: that a real provider words its errors, orders its chunks or closes its connections like
this (the shapes are from captures and documentation); anything about TLS, HTTP/2, proxies in front or real
latency; and that a model reacts sensibly. It sees exactly what the router sends, and that it can prove.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 40},
    "completion_tokens_details": {"reasoning_tokens": 5},
}
DONE = b"data: [DONE]\n\n"


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    document = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return b"data: " + json.dumps({**document, **more}).encode() + b"\n\n"


def call(index: int | None, name: str = "", args: str = "", id: str | None = None) -> dict[str, Any]:
    part: dict[str, Any] = {"function": {}}
    if index is not None:
        part["index"] = index
    if id is not None:
        part |= {"id": id, "type": "function"}
    if name:
        part["function"]["name"] = name
    if args:
        part["function"]["arguments"] = args
    return {"tool_calls": [part]}


TEXT = [chunk({"role": "assistant", "content": ""}), chunk({"content": "Hello "}), chunk({"content": "wörld."})]
END = [chunk({}, "stop"), chunk(None, usage=USAGE), DONE]
TOOLS_END = [chunk({}, "tool_calls"), chunk(None, usage=USAGE), DONE]

STREAMS: dict[str, list[bytes]] = {
    "text": TEXT + END,
    "no-usage": [*TEXT, chunk({}, "stop"), DONE],
    "reasoning": [chunk({"reasoning_content": "Let me "}), chunk({"reasoning": "think."}), *TEXT, *END],
    "tools": [
        chunk(call(0, "terminal", id="call_a")),
        chunk(call(0, args='{"comm')),
        chunk(call(0, args='and": "ls"}')),
        chunk(call(1, "read_file", '{"path": "x"}', id="call_b")),
        *TOOLS_END,
    ],
    "no-ids": [
        chunk(call(0, "terminal", '{"command": "a"}')),
        chunk(call(1, "terminal", '{"command": ')),
        chunk(call(1, args='"b"}')),
        *TOOLS_END,
    ],
    "all-at-index-0": [
        chunk(call(0, "terminal", '{"command": "a"}')),
        chunk(call(0, "terminal", '{"command": "b"}')),
        *TOOLS_END,
    ],
    "repeats-ids": [chunk(call(0, "terminal", '{"command": "a"}', id="call_0")), *TOOLS_END],
    "cut-in-args": [chunk(call(0, "terminal", '{"command": "rm', id="call_a"))],
    "error-chunk": [*TEXT, chunk(None, error={"message": "Overloaded", "code": 503})],
    "ends-early": TEXT,
    "comments": [b": PROCESSING\n\n", *TEXT, *END],
}

ERRORS: dict[str, tuple[int, dict[str, Any], dict[str, str]]] = {
    "400": (400, {"error": {"message": "Unsupported parameter: 'foo'", "code": "unsupported_parameter"}}, {}),
    "401": (401, {"error": {"message": "Incorrect API key provided: sk-secret-key"}}, {}),
    "402": (402, {"error": {"message": "Insufficient credits"}}, {}),
    "404": (404, {"error": {"message": "model not found"}}, {}),
    "429": (429, {"error": {"message": "slow down"}}, {"Retry-After": "7"}),
    "500": (500, {"error": {"message": "boom"}}, {}),
    "503": (503, {"error": {"message": "maintenance"}}, {}),
    "overflow": (400, {"error": {"message": "This model's maximum context length is 8192 tokens."}}, {}),
}


@dataclass
class Provider:
    """What the provider saw, and its address."""

    base_url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)  # a caller hung up on "hang" or "idle"
    go_on: asyncio.Event = field(default_factory=asyncio.Event)  # lets "gated" finish

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        document = json.loads(body)
        self.requests.append(document)
        self.bodies.append(body)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        model = document["model"]
        if model in ERRORS:
            status, error, headers = ERRORS[model]
            return web.json_response(error, status=status, headers=headers)
        if model == "html":
            return web.Response(text="<!DOCTYPE html><p>hi", content_type="text/html")
        if model == "html-502":
            return web.Response(text="<html>Bad Gateway", content_type="text/html", status=502)
        if model == "redirect":
            return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/steal"})
        if model == "text-plain":
            return web.Response(text="ok")
        if model == "hang":
            return await self._hang(request, None)
        if model == "drops" or (model == "drops-once" and len(self.requests) == 1):
            request.transport.close()  # type: ignore[union-attr]
            return web.Response()
        if not document.get("stream"):
            return web.json_response(self._whole(model), headers={"Set-Cookie": "a=b", "Authorization": "x"})
        return await self._stream(request, model)

    async def _stream(self, request: web.Request, model: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Set-Cookie": "a=b"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        if model == "silent-headers":
            return await self._hang(request, response)
        if model == "lingers":  # says all, and then does not close
            await response.write(b"".join(STREAMS["text"]))
            return await self._hang(request, response)
        if model in ("idle", "cut", "gated"):
            for part in TEXT:
                await response.write(part)
            if model == "idle":
                return await self._hang(request, response)
            if model == "cut":
                request.transport.close()  # type: ignore[union-attr]
                return response
            await self.go_on.wait()
            for part in END:
                await response.write(part)
            return response
        if model == "dribble":  # every byte on its own, with CRLF line ends
            for byte in b"".join(STREAMS["no-ids"]).replace(b"\n", b"\r\n"):
                await response.write(bytes([byte]))
            return response
        for part in STREAMS["text" if model == "drops-once" else model]:
            await response.write(part)
        if model == "cut-in-args":
            request.transport.close()  # type: ignore[union-attr]
        return response

    async def _hang(self, request: web.Request, response: web.StreamResponse | None) -> web.StreamResponse:
        try:
            while request.transport is not None and not request.transport.is_closing():
                await asyncio.sleep(0.005)
        finally:
            self.left.set()
        return response or web.Response()

    def _whole(self, model: str) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": "Hello wörld."}
        if model == "no-ids":
            message["tool_calls"] = [{"type": "function", "function": {"name": "terminal", "arguments": "{}"}}]
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {"id": "x", "object": "chat.completion", "model": "m", "choices": [choice], "usage": USAGE}


@asynccontextmanager
async def running_provider() -> AsyncIterator[Provider]:
    provider = Provider()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/chat/completions", provider.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    provider.base_url = f"http://{host}:{port}/v1"
    try:
        yield provider
    finally:
        provider.go_on.set()
        await runner.cleanup()
