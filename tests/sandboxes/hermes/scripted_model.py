"""A tiny OpenAI-compatible model that does what the last message says, and remembers who called.

``run: COMMAND`` becomes one terminal call, then its output is repeated. ``wait: SECONDS`` streams slowly.
``status: N`` answers with that HTTP status. Anything else is answered with ``Soul: <first line of the system
prompt>``, so that a test sees which soul was in force.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Call:
    lane: str
    run: str
    authorization: str
    question: str
    system: str
    tools: tuple[str, ...]
    earlier: list[str]


@dataclass
class ScriptedModel:
    context_length: int = 131072
    calls: list[Call] = field(default_factory=list)
    probes: list[str] = field(default_factory=list)
    # What answers at /mcp, where there is a hub.
    hub: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
    _ids: Any = field(default_factory=itertools.count)

    def application(self) -> web.Application:
        application = web.Application(client_max_size=64 << 20)
        application.router.add_post("/lane/{lane}/v1/chat/completions", self._chat)
        application.router.add_get("/lane/{lane}/v1/models", self._models)
        application.router.add_route("*", "/{rest:.*}", self._missing)
        return application

    async def _missing(self, request: web.Request) -> web.StreamResponse:
        if self.hub is not None and request.path == "/mcp":
            return await self.hub(request)
        self.probes.append(request.path)
        return web.json_response({"error": {"message": "not here"}}, status=404)

    async def _models(self, request: web.Request) -> web.Response:
        model = {"id": "scripted", "object": "model", "context_length": self.context_length}
        return web.json_response({"object": "list", "data": [model]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        messages = body["messages"]
        question = next(_text(m["content"]) for m in reversed(messages) if m["role"] == "user")
        self.calls.append(
            Call(
                lane=request.match_info["lane"],
                run=request.headers.get("X-Logos-Run", ""),
                authorization=request.headers.get("Authorization", ""),
                question=question,
                system=_text(messages[0]["content"]),
                tools=tuple(tool["function"]["name"] for tool in body.get("tools") or ()),
                earlier=[_text(message["content"]) for message in messages[1:-1]],
            )
        )
        if request.match_info["lane"] == "none":
            return web.json_response({"error": {"message": "this call names no lane"}}, status=400)
        if question.startswith("status: "):
            return web.json_response({"error": {"message": "as you asked"}}, status=int(question.split()[1]))
        return await self._answer(request, body, messages, question)

    async def _answer(
        self, request: web.Request, body: dict[str, Any], messages: list[Any], question: str
    ) -> web.StreamResponse:
        delay_s = 0.0
        if messages[-1]["role"] == "tool":
            words = ["The ", "output ", "was: ", _text(messages[-1]["content"])]
        elif question.startswith("run: "):
            return await self._stream(request, [self._terminal(question.removeprefix("run: "))], "tool_calls", 0.0)
        elif question.startswith("wait: "):
            delay_s, words = float(question.split()[1]), ["slowly ", "but ", "surely"]
        else:
            words = ["Soul: ", _text(messages[0]["content"]).split("\n")[0]]
        return await self._stream(request, [{"content": word} for word in words], "stop", delay_s)

    def _terminal(self, command: str) -> dict[str, Any]:
        function = {"name": "terminal", "arguments": json.dumps({"command": command})}
        call = {"index": 0, "id": f"call_{next(self._ids):024x}", "type": "function", "function": function}
        return {"tool_calls": [call]}

    async def _stream(
        self, request: web.Request, deltas: list[dict[str, Any]], finish: str, delay_s: float
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)

        async def send(**fields: Any) -> None:
            chunk = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "scripted", **fields}
            await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")

        for delta in deltas:
            await send(choices=[{"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": None}])
            if delay_s:
                await asyncio.sleep(delay_s)
        await send(choices=[{"index": 0, "delta": {}, "finish_reason": finish}])
        await send(choices=[], usage={"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107})
        await response.write(b"data: [DONE]\n\n")
        return response


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content or ""
