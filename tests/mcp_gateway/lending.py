"""A model that is lent to servers and does as it is told, with no rows behind it."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

from agents.errors import Code
from mcp_gateway.sampling.bounds import Sampling
from mcp_gateway.sampling.rows import Sampled
from runs.lending import Lent, Payer
from sandboxes.inference.calls import CallRecord, RouteTarget

ROUTE = "route_small"
BOUNDS = Sampling(ROUTE, max_tokens=64, timeout_s=120.0, rpm=100, rounds=3, person_id=7)


class Small:
    """Remembers what it was asked and by whom. ``gate`` holds its answers back while it is not set."""

    def __init__(self, kind: str = "openai-compatible") -> None:
        self.kind = kind
        self.asked: list[tuple[Payer, dict[str, Any]]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.refuses: tuple[int, str, str] | None = None
        self.answer: dict[str, Any] = {"content": "Paris."}
        self.hung_up = 0

    async def target(self, route_id: str) -> RouteTarget | None:
        return RouteTarget(route_id, self.kind, "small-1") if route_id == ROUTE else None

    async def ask(self, payer: Payer, target: RouteTarget, body: bytes) -> Lent:
        self.asked.append((payer, json.loads(body)))
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.hung_up += 1
            raise
        status, code, sentence = self.refuses or (200, "", "")
        record = CallRecord(
            "infer_1", payer.run_id, "", target.route_id, target.model, status, code, sentence,
            input_tokens=5, output_tokens=2, cost=Decimal("0.001"),
        )  # fmt: skip
        if status != 200:
            return Lent(status, json.dumps({"error": {"message": sentence, "code": code}}).encode(), record)
        if self.kind == "anthropic":
            said = {"content": [{"type": "text", "text": "Paris."}], "stop_reason": "end_turn"}
            return Lent(200, json.dumps(said).encode(), record)
        choice = {"message": self.answer, "finish_reason": "tool_calls" if "tool_calls" in self.answer else "stop"}
        return Lent(200, json.dumps({"choices": [choice]}).encode(), record)

    def without_money(self) -> None:
        """Every budget is used up."""
        self.refuses = (402, Code.BUDGET_EXCEEDED, "The budget of $3.21 is used up.")


class Kept:
    """Where rows and events of a run would go."""

    def __init__(self) -> None:
        self.rows: list[Sampled] = []
        self.told: list[tuple[str, str, dict[str, Any]]] = []

    async def store(self, record: Sampled) -> None:
        self.rows.append(record)

    def tell(self, run_id: str, kind: str, data: dict[str, Any]) -> None:
        self.told.append((run_id, kind, data))
