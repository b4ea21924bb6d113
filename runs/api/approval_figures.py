"""/api/approvals/figures and /canaries: how well people decide, and requests that are none."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from agents import permissions
from agents.api.asking import asker
from agents.api.shapes import NEXT, AgentRef, PageQuery, Text, page
from agents.errors import NotFound
from agents.models import Agent, User
from runs import approvals
from runs.models import Approval

router = Router(tags=["Approvals"])


class FigureOut(Schema):
    """How one person decided. `hasty`: within three seconds; `missed`: canaries they allowed; `expired`: what they could
    have decided and nobody did; `votes`: leave they gave as one of several, before the last."""

    username: str
    decided: int
    allowed: int
    denied: int
    hasty: int
    average_s: float
    median_s: float
    canaries: int
    caught: int
    missed: int
    expired: int
    votes: int

    model_config = {
        "json_schema_extra": {
            "example": {
                "username": "maya",
                "decided": 41,
                "allowed": 30,
                "denied": 11,
                "hasty": 2,
                "average_s": 18.4,
                "median_s": 12.0,
                "canaries": 3,
                "caught": 3,
                "missed": 0,
                "expired": 1,
                "votes": 2,
            }
        }
    }


class FiguresQuery(Schema):
    """Over how many days."""

    days: int = Field(approvals.DEFAULT_DAYS, ge=1, le=approvals.MOST_DAYS)
    mine: bool = Field(False, description="Only your own, which everybody who decides may see.")


class CanaryIn(Schema):
    """To whom, about which agent."""

    person: Text = Field(max_length=150, description="A user name.")
    agent_id: Text = Field(max_length=60)

    model_config = {
        "json_schema_extra": {"example": {"person": "maya", "agent_id": "agent_01jd9z6w3v8f4k2m7q5t0x1y9c"}}
    }


class CanaryOut(Schema):
    """The request that is none."""

    id: str

    model_config = {"json_schema_extra": {"example": {"id": "appr_01jd9zd2x4z6b8d0f2h4k6m8p0"}}}


@router.get("/figures", response=list[FigureOut], operation_id="approval_figures", summary="How well people decide")
def approval_figures(request: HttpRequest, query: Query[FiguresQuery]) -> list[approvals.Figure]:
    """For operators and admins, over the requests they may see; your own (`mine`) for everybody who decides."""
    user = asker(request)
    return [approvals.own(user, query.days)] if query.mine else approvals.figures(user, query.days)


class CanaryResult(Schema):
    """A canary and what became of it."""

    id: str
    person: str | None = Field(None, alias="asked_for.username")
    agent: AgentRef | None = None
    result: Literal["waits", "caught", "missed", "not decided"]
    created_at: datetime
    decided_at: datetime | None = None

    model_config = {
        "json_schema_extra": {
            "example": {
                "id": "appr_01jd9zd2x4z6b8d0f2h4k6m8p0",
                "person": "maya",
                "agent": {"id": "agent_01jd9z6w3v8f4k2m7q5t0x1y9c", "name": "atlas"},
                "result": "caught",
                "created_at": "2026-11-20T09:15:03.120Z",
                "decided_at": "2026-11-20T09:15:41.007Z",
            }
        }
    }

    @staticmethod
    def resolve_result(row: Approval) -> str:
        return approvals.result(row)


class CanaryPage(Schema):
    """Canaries, the newest first."""

    items: list[CanaryResult]
    next: str | None = NEXT


@router.get(
    "/canaries", response=CanaryPage, operation_id="list_canaries", summary="List canaries and what became of them"
)
def list_canaries(request: HttpRequest, query: Query[PageQuery]) -> dict:
    """For admins. One that waits for yourself is left out."""
    return page(approvals.canaries(asker(request)), query)


@router.post("/canaries", response={201: CanaryOut}, operation_id="put_canary", summary="Put a request that is none")
def put_canary(request: HttpRequest, body: CanaryIn) -> Status:
    """For admins: it looks like any other, and does nothing whatever is answered."""
    actor = asker(request)
    permissions.require(actor, "user.manage")
    person = User.objects.filter(username=body.person, is_active=True).first()
    agent = permissions.fetch(actor, "agent.view", Agent.objects.alive(), pk=body.agent_id)
    if person is None:
        raise NotFound("This person")
    return Status(201, approvals.canary(actor, person, agent))
