"""A stand-in for the runtime's HTTP server that replays captured streams.

Faithful in what the client depends on: the key, one reader per stream, the error bodies and statuses. It
cannot prove that a run really stops, that a lane leads anywhere, or how long anything takes: those are in
``test_real_runtime.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.sandboxes.hermes.captures import raw

KEY = "k" * 32
Handler = Callable[[web.Request], Any]


@dataclass
class FakeGateway:
    """``capture`` is what every run replays; ``overrides`` answer instead of the usual handler, by path suffix."""

    capture: str = "tool"
    overrides: dict[str, Handler] = field(default_factory=dict)
    bodies: list[tuple[str, Any]] = field(default_factory=list)
    statuses: dict[str, dict[str, Any]] = field(default_factory=dict)
    messages: list[dict[str, Any]] = field(default_factory=list)
    cut_after: int | None = None  # bytes of the stream before the connection is cut
    chunk: int = 17
    waiting_for_approval: bool = False
    dials: int = 0
    port: int = 0
    _unread: set[str] = field(default_factory=set)

    async def dial(self) -> socket.socket:
        self.dials += 1
        sock = socket.socket()
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        except BaseException:
            sock.close()
            raise
        return sock

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[FakeGateway]:
        application = web.Application(middlewares=[self._door])
        application.router.add_get("/health", self._health)
        application.router.add_get("/v1/toolsets", self._toolsets)
        application.router.add_post("/v1/runs", self._start)
        application.router.add_get("/v1/runs/{id}", self._status)
        application.router.add_get("/v1/runs/{id}/events", self._events)
        application.router.add_post("/v1/runs/{id}/approval", self._approval)
        application.router.add_post("/v1/runs/{id}/stop", self._stop)
        application.router.add_get("/api/sessions/{id}/messages", self._messages)
        runner = web.AppRunner(application, handle_signals=False, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        try:
            yield self
        finally:
            await runner.cleanup()

    @web.middleware
    async def _door(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path != "/health" and request.headers.get("Authorization") != f"Bearer {KEY}":
            return error(401, "Invalid API key", "invalid_api_key")
        if request.can_read_body:
            self.bodies.append((request.path, await request.json()))
        for suffix, override in self.overrides.items():
            if request.path.endswith(suffix):
                return await override(request)
        return await handler(request)

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "platform": "hermes-agent", "version": "0.19.0"})

    async def _toolsets(self, request: web.Request) -> web.Response:
        rows = [
            {"name": "terminal", "enabled": True, "tools": ["process", "terminal"]},
            {"name": "web", "enabled": False, "tools": ["web_search"]},
        ]
        return web.json_response({"object": "list", "platform": "api_server", "data": rows})

    async def _start(self, request: web.Request) -> web.Response:
        run_id = f"run_{len(self.statuses):032x}"
        self._unread.add(run_id)
        status = {"object": "hermes.run", "run_id": run_id, "status": "running", "session_id": "s"}
        self.statuses[run_id] = status
        return web.json_response({"run_id": run_id, "status": "started"}, status=202)

    async def _status(self, request: web.Request) -> web.Response:
        status = self.statuses.get(request.match_info["id"])
        return web.json_response(status) if status else not_found(request)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["id"] not in self._unread:
            return not_found(request)
        self._unread.discard(request.match_info["id"])
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        stream = raw(self.capture)[: self.cut_after]
        for start in range(0, len(stream), self.chunk):
            await response.write(stream[start : start + self.chunk])
        if self.cut_after is not None and request.transport:
            request.transport.abort()
        return response

    async def _approval(self, request: web.Request) -> web.Response:
        if not self.waiting_for_approval:
            return error(409, "Run has no pending approval", "approval_not_pending")
        return web.json_response({"object": "hermes.run.approval_response", "resolved": 1})

    async def _stop(self, request: web.Request) -> web.Response:
        if request.match_info["id"] not in self.statuses:
            return not_found(request)
        return web.json_response({"run_id": request.match_info["id"], "status": "stopping"})

    async def _messages(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "session_id": "s", "data": self.messages})


def error(status: int, message: str, code: str) -> web.Response:
    body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
    return web.Response(status=status, body=json.dumps(body), content_type="application/json")


def not_found(request: web.Request) -> web.Response:
    return error(404, f"Run not found: {request.match_info['id']}", "run_not_found")
