"""/api/mcp-servers/{id}/samplings: what a server asked of models, for whom and at what cost."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents.api.asking import asker
from agents.api.shapes import NEXT, Money, PageQuery, Text, page
from mcp_gateway.sampling import reading

router = Router(tags=["MCP servers"])

EXAMPLE: dict[str, Any] = {
    "id": "mcpask_01jd9z7c3f5h7k9n1q3s5v7x9z",
    "agent_id": "agent_01jd9z7c3f5h7k9n1q3s5v7x9z",
    "run_id": "run_01jd9z7c3f5h7k9n1q3s5v7x9z",
    "call_id": "mcpcall_01jd9z7c3f5h7k9n1q3s5v7x9z",
    "tool": "summarise",
    "outcome": "ok",
    "why": "",
    "reason": "",
    "route_id": "route_01jd9z7c3f5h7k9n1q3s5v7x9z",
    "model": "small-1",
    "hint": "large-9",
    "asked_tokens": 4000,
    "max_tokens": 1024,
    "input_tokens": 812,
    "output_tokens": 240,
    "cost": "0.00128700",
    "duration_ms": 912.4,
    "at": "2026-11-20T09:14:02.512Z",
}


class McpSamplingOut(Schema):
    """One question of a server; never its words."""

    id: str
    agent_id: str | None = Field(
        description="Whose call it was for; null where that is not known, or not yours to see."
    )
    run_id: str
    call_id: str
    tool: str
    outcome: str = Field(
        description="started, ok, refused, error, timeout, cancelled, or unknown: Logos ended meanwhile."
    )
    why: str = Field(description="off, rate, rounds, tools, budget, halted, no_model, … where it is not ok.")
    reason: str
    route_id: str
    model: str
    hint: str = Field(description="What the server would like: the hint that chose the model, or its first.")
    asked_tokens: int | None
    max_tokens: int | None = Field(description="What it could have at most.")
    input_tokens: int | None
    output_tokens: int | None
    cost: Money | None = Field(description="Null: unknown, or nothing was asked.")
    duration_ms: float
    at: datetime

    model_config = {"json_schema_extra": {"example": EXAMPLE}}

    @staticmethod
    def resolve_agent_id(row: Any) -> str | None:
        return row.agent.pk if row.agent is not None else None


class McpSamplingPage(Schema):
    """Questions of a server, the newest first."""

    items: list[McpSamplingOut]
    next: str | None = NEXT

    model_config = {"json_schema_extra": {"example": {"items": [EXAMPLE], "next": None}}}


@router.get(
    "/{server_id}/samplings",
    response=McpSamplingPage,
    operation_id="list_mcp_samplings",
    summary="What it asked of models",
)
def list_samplings(request: HttpRequest, server_id: Text, query: Query[PageQuery]) -> dict:
    """For whoever may edit the server. What it was for is named where you see the agent."""
    user = asker(request)
    found = page(reading.of(user, server_id), query)
    return {**found, "items": reading.named(user, found["items"])}
