"""A router on a real socket with a scripted provider behind it, and a run that listens."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from sandboxes.inference.calls import CallRecord, RouteTarget
from sandboxes.inference.lanes import Lanes, Lease
from sandboxes.inference.meter import Meter
from sandboxes.inference.router import Router
from sandboxes.inference.serve import PassedListeners
from tests.sandboxes.inference.upstream import Provider, running_provider

TOOLS = [{"type": "function", "function": {"name": name}} for name in ("terminal", "read_file", "write_file")]


@dataclass
class Story:
    """A CallSink that remembers."""

    told: list[tuple[Any, ...]] = field(default_factory=list)
    records: list[CallRecord] = field(default_factory=list)

    def reasoning(self, text: str, *, conversation: str) -> None:
        self.told.append(("reasoning", text, conversation))

    def tool_proposed(self, call_id: str, name: str, *, conversation: str) -> None:
        self.told.append(("proposed", call_id, name, conversation))

    def tool_requested(self, call_id: str, name: str, args: dict[str, Any], *, conversation: str) -> None:
        self.told.append(("requested", call_id, name, args, conversation))

    def tool_result(self, call_id: str, name: str, result: str, *, conversation: str) -> None:
        self.told.append(("result", call_id, name, result, conversation))

    def call_finished(self, record: CallRecord) -> None:
        self.records.append(record)


@dataclass
class Reply:
    status: int
    body: bytes
    headers: dict[str, str]
    broke_off: bool = False

    @property
    def error(self) -> dict[str, Any]:
        return json.loads(self.body)["error"]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        lines = [line[5:].strip() for line in self.body.splitlines() if line.startswith(b"data:")]
        return [json.loads(line) for line in lines if line != b"[DONE]"]

    @property
    def text(self) -> str:
        deltas = (choice["delta"] for chunk in self.chunks for choice in chunk["choices"])
        return "".join(delta.get("content") or "" for delta in deltas)


@dataclass
class House:
    """One sandbox's view of the router."""

    router: Router
    lanes: Lanes
    provider: Provider
    address: str
    client: aiohttp.ClientSession
    written: list[CallRecord]
    story: Story = field(default_factory=Story)

    def target(self, model: str, **more: Any) -> RouteTarget:
        values: dict[str, Any] = {
            "route_id": "route_1",
            "kind": "openai-compatible",
            "model": model,
            "base_url": self.provider.base_url,
            "api_key": "sk-secret-key",
            "context_length": 32000,
            "price_input": Decimal("3"),
            "price_output": Decimal("15"),
        }
        return RouteTarget(**{**values, **more})

    def lease(self, model: str, *, lane: int | None = None, **more: Any) -> Lease:
        return self.lanes.lease("box_1", "run_1", self.target(model, **more), self.story, lane)

    def url(self, lease: Lease, rest: str = "v1/chat/completions") -> str:
        return f"{self.address}/lane/{lease.lane}/{rest}"

    async def ask(self, lease: Lease, *, headers: dict[str, str] | None = None, **body: Any) -> Reply:
        body = {"model": "label", "stream": True, "tools": TOOLS, **body}
        body.setdefault("messages", [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}])
        return await self.post(self.url(lease), json.dumps(body).encode(), headers=headers)

    async def post(self, url: str, body: bytes, *, headers: dict[str, str] | None = None) -> Reply:
        async with self.client.post(url, data=body, headers=headers) as response:
            got = b""
            try:
                async for part in response.content.iter_any():
                    got += part
            except aiohttp.ClientPayloadError:
                return Reply(response.status, got, dict(response.headers), broke_off=True)
            return Reply(response.status, got, dict(response.headers))


@pytest.fixture
async def house() -> AsyncIterator[House]:
    written: list[CallRecord] = []

    async def write(records: list[CallRecord]) -> None:
        written.extend(records)

    lanes, meter, listeners = Lanes(), Meter(write), PassedListeners(drain_s=1)
    router = Router(lanes, meter)
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with running_provider() as provider, aiohttp.ClientSession() as client:
        await listeners.add("box_1", listener, router.for_sandbox("box_1"))
        yield House(router, lanes, provider, address, client, written)
        await client.close()
        await listeners.close()
        await router.close()
        assert await meter.close() == 0
