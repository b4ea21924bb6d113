"""A scripted reviewer: a provider on a real socket that answers what the test put into its mouth, in either wire.

What it cannot prove: that a real model judges well, or that it withstands what a command tells it. It sees exactly
what Logos sends, and that it can prove.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

USAGE = {"prompt_tokens": 400, "completion_tokens": 30}


def opinion(verdict: str = "allow", confidence: Any = 0.9, reason: str = "It is build output.") -> str:
    """An answer of the right shape."""
    return json.dumps({"verdict": verdict, "confidence": confidence, "reason": reason})


@dataclass
class Judge:
    """What it was asked, and how it answers: ``says`` in a status 200, or ``status``; never when it ``is_silent``."""

    says: Any = field(default_factory=opinion)
    status: int = 200
    is_silent: bool = False
    base_url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def told(self) -> str:
        """What it was told of the last request."""
        return str(self.asked[-1]["messages"][-1]["content"])

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.bodies.append(body)
        self.asked.append(json.loads(body))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.arrived.set()
        if self.is_silent:
            try:
                while request.transport is not None and not request.transport.is_closing():
                    await asyncio.sleep(0.005)
            finally:
                self.left.set()
            return web.Response()
        if self.status != 200:
            return web.json_response({"error": {"message": "The judge is ill."}}, status=self.status)
        if isinstance(self.says, bytes):
            return web.Response(body=self.says, content_type="application/json")
        if isinstance(self.says, dict):
            return web.json_response(self.says)
        if request.path.endswith("/messages"):
            return web.json_response({
                "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
                "content": [{"type": "text", "text": self.says}],
                "usage": {"input_tokens": 400, "output_tokens": 30},
            })  # fmt: skip
        choice = {"index": 0, "message": {"role": "assistant", "content": self.says}, "finish_reason": "stop"}
        return web.json_response({"id": "x", "object": "chat.completion", "choices": [choice], "usage": USAGE})


@asynccontextmanager
async def running_judge() -> AsyncIterator[Judge]:
    judge = Judge()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", judge.answer)
    app.router.add_post("/v1/messages", judge.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    judge.base_url = f"http://{host}:{port}/v1"
    try:
        yield judge
    finally:
        await runner.cleanup()
