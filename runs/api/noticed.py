"""/api/approvals/noticed: what agents did unasked and people are to be told of."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents.api.asking import asker
from agents.api.shapes import NEXT, AgentRef, PageQuery, Text, page
from runs import noticed

router = Router(tags=["Approvals"])


class NoticedOut(Schema):
    """A call of a tool that ran under "allow and tell"."""

    id: str
    at: datetime
    agent: AgentRef
    run_id: str
    tool: str
    arguments: dict[str, Any] = Field(description="Secrets are masked and long ones cut.")
    reason: str
    is_error: bool

    model_config = {
        "json_schema_extra": {
            "example": {
                "id": "tool_01jd9zb4p2r4t6v8x0z2b4d6f8",
                "at": "2026-11-21T09:15:02.655Z",
                "agent": {"id": "agent_01jd9z6w3v8f4k2m7q5t0x1y9c", "name": "atlas"},
                "run_id": "run_01jd9zb4m0c2e6h8k1n3q5s7v9",
                "tool": "filesystem.delete",
                "arguments": {"path": "notes/old.md"},
                "reason": "Without a rule, filesystem.delete runs and people are told.",
                "is_error": False,
            }
        }
    }


class NoticedPage(Schema):
    """A page of them, the newest first."""

    items: list[NoticedOut]
    next: str | None = NEXT


class NoticedQuery(PageQuery):
    """Which ones."""

    agent_id: Text = Field("", description="Only those of this agent.")


@router.get("/noticed", response=NoticedPage, operation_id="list_noticed", summary="List what was done and is told")
def list_noticed(request: HttpRequest, query: Query[NoticedQuery]) -> dict:
    """Nothing of it waits: of your runs and of agents you manage, over the last 30 days."""
    rows = noticed.seen_by(asker(request))
    return page(rows.filter(agent=query.agent_id) if query.agent_id else rows, query)
