"""Many streamed calls through the real router and the real ledger, with a provider that is no more than a generator.

Nothing is stubbed between the router's ASGI application and the rows. What this cannot tell: what sockets, TLS and a
real provider's pace add; a provider that bills more than it sends.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from runs import work
from runs.budgets.limits import Spender
from runs.budgets.purse import RunPurse
from runs.budgets.purser import Purser
from runs.threads import DatabaseThreads
from sandboxes.inference import rows
from sandboxes.inference.calls import CallRecord, RouteTarget
from sandboxes.inference.lanes import Lanes, Lease
from sandboxes.inference.meter import Meter
from sandboxes.inference.requests import ModelRequest
from sandboxes.inference.router import Router

# A token of output costs a hundred-thousandth of a dollar; the prompt costs nothing.
PRICE = Decimal(10)
TOKEN = 10_000  # billionths

BODY = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}).encode()


def chunk(delta: dict[str, Any] | None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": more.pop("finish", None)}]
    return b"data: " + json.dumps({"id": "c", "choices": choices, **more}).encode() + b"\n\n"


WORD = chunk({"content": "word"})


@dataclass
class Answer:
    """So many tokens, one in each chunk; then what they were."""

    tokens: int
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    sent: int = 0

    async def read(self) -> bytes:
        await asyncio.sleep(0)
        self.sent += 1
        if self.sent <= self.tokens:
            return WORD
        if self.sent == self.tokens + 1:
            usage = {"prompt_tokens": 0, "completion_tokens": self.tokens}
            return chunk({}, finish="stop") + chunk(None, usage=usage) + b"data: [DONE]\n\n"
        return b""

    def close(self) -> None:
        pass


@dataclass
class Generator:
    """A provider in this process."""

    tokens: int

    async def open(self, target: RouteTarget, request: ModelRequest) -> Answer:
        return Answer(self.tokens)

    async def close(self) -> None:
        pass


class Deaf:
    """A run that hears everything and does nothing with it."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *values, **named: None


class Streams:
    """An engine's part of it: router, meter, purser and a thread for the database."""

    def __init__(self, holder: str, tokens: int, *, with_budgets: bool = True) -> None:
        self.pen = DatabaseThreads(1, "streams")
        self.lanes, self.purser = Lanes(), Purser(self.pen.run, holder)
        self.meter: Meter[CallRecord] = Meter(self._store)
        self.router = Router(self.lanes, self.meter)
        self.router._upstreams["openai-compatible"] = Generator(tokens)  # type: ignore[assignment]
        self.app = self.router.for_sandbox("box_1")
        self.with_budgets = with_budgets

    async def _store(self, records: list[CallRecord]) -> None:
        await self.pen.run(rows.store, records)

    async def _other(self, route_id: str) -> RouteTarget | None:
        found: RouteTarget | None = await self.pen.run(work.stand_in, route_id)
        return found

    def lease(self, spender: Spender) -> Lease:
        target = RouteTarget("route_1", "openai-compatible", "m", price_input=Decimal(0), price_output=PRICE)
        lease = self.lanes.lease("box_1", spender.run_id, target, Deaf())  # type: ignore[arg-type]
        if self.with_budgets:
            lease.purse = RunPurse(self.purser, spender, lambda kind, data: None, self._other)
        return lease

    async def call(self, lease: Lease, passed: Callable[[str, bytes], None] | None = None) -> int:
        """One streamed call; how many tokens passed. ``passed`` hears each part before the runtime has it."""
        call_id, count, status = "", 0, 0
        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": BODY}
            await asyncio.Event().wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            nonlocal call_id, count, status
            if message["type"] == "http.response.start":
                call_id = dict(message["headers"]).get(b"x-logos-call", b"").decode()
                status = message["status"]
                return
            body = message.get("body", b"")
            if status == 200:
                count += body.count(b'"content": "word"')
                if passed is not None and body:
                    passed(call_id, body)

        scope = {"type": "http", "method": "POST", "path": f"/lane/{lease.lane}/v1/chat/completions", "headers": []}
        await self.app(scope, receive, send)  # type: ignore[arg-type]
        return count

    async def close(self) -> None:
        assert await self.purser.close(timeout_s=120) == 0
        assert await self.meter.close(timeout_s=120) == 0
        await asyncio.to_thread(self.pen.close)
