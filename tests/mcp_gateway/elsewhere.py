"""An MCP server over streamable HTTP, scripted, of either era; it keeps every request it got."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from mcp_gateway import eras
from tests.mcp_gateway.gate import PATIENCE_S

TOOLS = [
    {"name": name, "description": f"Does {name}.", "inputSchema": {"type": "object", "properties": properties}}
    for name, properties in (
        ("echo", {"text": {"type": "string"}}),
        ("region", {"region": {"type": "string", "x-mcp-header": "Region"}}),
        *(
            (name, {})
            for name in ("headers", "progress", "ask", "big", "hang", "break", "change", "unwell", "count", "flood")
        ),
    )
]


@dataclass
class Elsewhere:
    """``streams``: answers are event streams. ``sessions``: it gives ids of sessions and wants them back. ``bearers``:
    who is let in; nobody is asked when it is None."""

    era: str = "handshake"
    streams: bool = False
    sessions: bool = True
    bearers: set[str] | None = None
    challenge: str = "Bearer"
    status: int = 0
    reply: Callable[[web.Request], Any] | None = None
    tools: list[dict[str, Any]] = field(default_factory=lambda: list(TOOLS))
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    initialised: set[str] = field(default_factory=set)
    answered: list[Any] = field(default_factory=list)
    news: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    hung: int = 0
    flooding: int = 0
    # What it says when it is called to talk without end.
    flood: bytes = b""
    url: str = ""
    _questions: dict[str, asyncio.Future[Any]] = field(default_factory=dict)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        message = json.loads(text) if text else {}
        self.requests.append((request.method, dict(request.headers), message))
        if self.status:
            return web.Response(status=self.status, text="as told", headers={"Location": "/elsewhere"})
        if self.reply is not None:
            return await self.reply(request)
        if self.bearers is not None:
            shown = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if shown not in self.bearers:
                return web.Response(status=401, headers={"WWW-Authenticate": self.challenge})
        if request.method == "GET":
            return await self._tell_news(request)
        if request.method == "DELETE":
            self.known.discard(request.headers.get("Mcp-Session-Id", ""))
            return web.Response(status=200)
        return await self._take(request, message)

    async def _take(self, request: web.Request, message: Any) -> web.StreamResponse:
        method, session = message.get("method"), request.headers.get("Mcp-Session-Id", "")
        is_modern = request.headers.get("MCP-Protocol-Version") == eras.MODERN
        if is_modern and self.era != "modern":
            return web.json_response({"error": "Unsupported protocol version"}, status=400)
        if self.era == "modern":
            if not is_modern or request.headers.get("Mcp-Method") != method:
                return web.Response(status=400, text="headers")
            if method in eras.NAMED and request.headers.get("Mcp-Name") != message["params"][eras.NAMED[method]]:
                return web.Response(status=400, text="name")
        elif method == "initialize":
            return await self._initialize(request, message)
        elif self.sessions and session not in self.known:
            return web.Response(status=404, text="no such session")
        if "method" not in message:
            self.answered.append(message)
            self._questions.pop(message["id"]).set_result(message)
            return web.Response(status=202)
        if "id" not in message:
            if method == "notifications/initialized":
                self.initialised.add(session)
            return web.Response(status=202)
        if self.era == "handshake" and self.sessions and session not in self.initialised:
            return web.json_response(error(message["id"], "Asked before it was ready."))
        return await self._answer(request, message)

    async def _initialize(self, request: web.Request, message: Any) -> web.StreamResponse:
        session = f"session-{len(self.known) + 1}-{len(self.requests)}"
        headers = {"Mcp-Session-Id": session} if self.sessions else {}
        self.known.add(session)
        said = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {"listChanged": True}}, "serverInfo": INFO}
        return await self._said(request, message, said, headers)

    async def _answer(self, request: web.Request, message: Any) -> web.StreamResponse:
        method, params = message["method"], message.get("params", {})
        if method == "server/discover":
            found = {"supportedVersions": [eras.MODERN], "capabilities": {"tools": {"listChanged": True}}}
            return await self._said(request, message, found | {"serverInfo": INFO})
        if method == "tools/list":
            return await self._said(request, message, {"tools": self.tools})
        if method == "ping":
            return await self._said(request, message, {})
        if method == "subscriptions/listen":
            return await self._tell_news(request)
        if method == "tools/call":
            return await self._call(request, message, params["name"], params.get("arguments", {}))
        return web.json_response(error(message["id"], "Unknown method"), status=404 if self.era == "modern" else 200)

    async def _call(self, request: web.Request, message: Any, name: str, given: Any) -> web.StreamResponse:
        if name == "headers":
            return await self._said(request, message, text(json.dumps(dict(request.headers))))
        if name == "big":
            return await self._said(request, message, text("x" * 20_000_000))
        if name == "hang":
            self.hung += 1
            try:
                await asyncio.Event().wait()
            finally:
                self.hung -= 1
        if name == "unwell":
            return web.Response(status=503, text="later")
        if name == "break":
            response = await self._begin(request)
            await response.write(b'event: message\ndata: {"jsonrpc"')
            assert request.transport is not None
            request.transport.abort()
            return response
        if name == "flood":
            return await self._flood(request)
        if name == "progress":
            return await self._progress(request, message)
        if name == "ask":
            return await self._ask(request, message)
        if name == "change":
            self.tools = [*TOOLS, {"name": "fresh", "description": "New.", "inputSchema": {"type": "object"}}]
            self.news.put_nowait({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        return await self._said(request, message, text(str(given.get("text") or given.get("region") or name)))

    async def _progress(self, request: web.Request, message: Any) -> web.StreamResponse:
        response = await self._begin(request)
        token = message["params"]["_meta"]["progressToken"]
        for amount in (1, 2):
            told = {"progressToken": token, "progress": amount}
            await send(response, {"jsonrpc": "2.0", "method": "notifications/progress", "params": told})
        # Answers to others on this stream are lies.
        await send(response, {"jsonrpc": "2.0", "id": message["id"] + 1, "result": text("for somebody else")})
        await send(response, result(message["id"], text(str(token))))
        return response

    async def _flood(self, request: web.Request) -> web.StreamResponse:
        response = await self._begin(request)
        self.flooding += 1
        try:
            while True:
                await response.write(self.flood * 100)
                await asyncio.sleep(0)
        finally:
            self.flooding -= 1

    async def _ask(self, request: web.Request, message: Any) -> web.StreamResponse:
        response = await self._begin(request)
        self._questions["q-1"] = asyncio.get_running_loop().create_future()
        await send(response, {"jsonrpc": "2.0", "id": "q-1", "method": "elicitation/create", "params": {}})
        found = await self._questions["q-1"]
        await send(response, result(message["id"], text(json.dumps(found["result"]))))
        return response

    async def _tell_news(self, request: web.Request) -> web.StreamResponse:
        response = await self._begin(request)
        with contextlib.suppress(ConnectionResetError):
            while True:
                await send(response, await self.news.get())
        return response

    async def _said(
        self, request: web.Request, message: Any, found: Any, headers: dict[str, str] | None = None
    ) -> web.StreamResponse:
        if not self.streams:
            return web.json_response(result(message["id"], found), headers=headers)
        response = await self._begin(request, headers)
        await send(response, result(message["id"], found))
        return response

    async def _begin(self, request: web.Request, headers: dict[str, str] | None = None) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **(headers or {})})
        await response.prepare(request)
        await response.write(b": hello\r\n\r\n")
        return response

    def asked(self, method: str) -> list[dict[str, str]]:
        """The headers of every message of this method."""
        return [headers for _, headers, message in self.requests if message.get("method") == method]


INFO = {"name": "elsewhere", "title": "Elsewhere", "version": "1"}


def text(words: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": words}]}


def result(id: Any, value: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "result": value}


def error(id: Any, sentence: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": sentence}}


async def send(response: web.StreamResponse, message: Any) -> None:
    """One event, in pieces no reader should trip over."""
    data = f"event: message\r\nid: 7\r\ndata: {json.dumps(message)}\r\n\r\n".encode()
    half = len(data) - 3
    await response.write(data[:half])
    await response.write(data[half:])


@contextlib.asynccontextmanager
async def elsewhere(**options: Any) -> AsyncIterator[Elsewhere]:
    """Such a server on a port of its own."""
    server = Elsewhere(**options)
    async with serving(server.serve) as base:
        server.url = f"{base}/mcp"
        yield server


@contextlib.asynccontextmanager
async def serving(handler: Any) -> AsyncIterator[str]:
    """Whatever answers every request, on a port of its own; its address."""
    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_route("*", "/{rest:.*}", handler)
    runner = web.AppRunner(application, handle_signals=False, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        async with asyncio.timeout(PATIENCE_S):
            await runner.cleanup()
