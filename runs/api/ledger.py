"""/api/ledger and /api/privacy: everybody's runs without a word of them, and the switch that keeps admins out of chats."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import people, privacy
from agents.api.asking import asker
from agents.api.shapes import NEXT, Money, PageQuery, Text
from runs import ledger
from runs.models import Status

router = Router(tags=["Privacy"])


class LineOut(Schema):
    """One run, without a word of it."""

    id: str
    person: str
    agent_id: str
    agent: str
    status: Status
    error_code: str
    created_at: datetime
    finished_at: datetime | None
    model_calls: int
    tool_calls: int
    input_tokens: int
    output_tokens: int
    cost: Money | None = Field(description="USD; null when unknown.")
    cost_is_partial: bool

    model_config = {
        "json_schema_extra": {
            "example": {
                "id": "run_01jd9zb4m0c2e6h8k1n3q5s7v9",
                "person": "alice",
                "agent_id": "agent_01jd9z6w3v8f4k2m7q5t0x1y9c",
                "agent": "atlas",
                "status": "completed",
                "error_code": "",
                "created_at": "2026-11-20T09:15:02.410Z",
                "finished_at": "2026-11-20T09:15:05.251Z",
                "model_calls": 2,
                "tool_calls": 1,
                "input_tokens": 812,
                "output_tokens": 64,
                "cost": "0.00128700",
                "cost_is_partial": False,
            }
        }
    }


class LinePage(Schema):
    """Runs, the newest first."""

    items: list[LineOut]
    next: str | None = NEXT


class LineQuery(PageQuery):
    """Which runs."""

    person: Text = Field("", description="Only those of this person (user name).")
    status: Status | None = Field(None, description="Only runs in this state.")


class Privacy(Schema):
    """May admins and operators read other people's chats?"""

    private_chats: bool

    model_config = {"json_schema_extra": {"example": {"private_chats": True}}}


@router.get("/ledger", response=LinePage, operation_id="list_ledger", summary="List everybody's runs, without content")
def list_ledger(request: HttpRequest, query: Query[LineQuery]) -> dict[str, Any]:
    """For admins, chats private or not: who, when, with which agent, how it ended, what it cost."""
    found = ledger.lines(
        asker(request), person=query.person, status=query.status or "", after=query.after, limit=query.limit
    )
    items = found[: query.limit]
    return {"items": items, "next": items[-1].id if len(found) > query.limit else None}


@router.get("/privacy", response=Privacy, operation_id="get_privacy", summary="Are chats private?")
def get_privacy(request: HttpRequest) -> Privacy:
    """Everybody may know."""
    asker(request)
    return Privacy(private_chats=privacy.is_on())


@router.put("/privacy", response=Privacy, operation_id="set_privacy", summary="Make chats private, or not")
def set_privacy(request: HttpRequest, body: Privacy) -> Privacy:
    """For admins. It counts at once, is written into the audit, and everybody sees it in their account."""
    user = asker(request)
    people.require(user)
    privacy.switch(user, body.private_chats)
    return Privacy(private_chats=privacy.is_on())
