"""/api/approvals: what waits for a person, and the decision."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Query, Router, Schema

from agents import permissions
from agents.api.asking import asker
from agents.api.shapes import NEXT, AgentRef, PageQuery, Text, page
from runs import approvals
from runs.models import Approval, ApprovalState

router = Router(tags=["Approvals"])


class ApprovalOut(Schema):
    """A dangerous command the agent will not run unasked."""

    id: str
    run_id: str
    agent: AgentRef = Field(alias="run.agent")
    command: str
    description: str
    subject_hash: str = Field(description="Binds your decision to exactly this command.")
    state: ApprovalState
    expires_at: datetime
    created_at: datetime

    model_config = {
        "json_schema_extra": {
            "example": {
                "id": "appr_01jd9zd2x4z6b8d0f2h4k6m8p0",
                "run_id": "run_01jd9zb4m0c2e6h8k1n3q5s7v9",
                "agent": {"id": "agent_01jd9z6w3v8f4k2m7q5t0x1y9c", "name": "atlas"},
                "command": "rm -rf build",
                "description": "recursive delete",
                "subject_hash": "1c9e5a7b3d2f4e6a8c0b1d3f5e7a9c2b4d6f8e0a1c3b5d7f9e2a4c6b8d0f1e3a",
                "state": "pending",
                "expires_at": "2026-11-20T09:20:03.120Z",
                "created_at": "2026-11-20T09:15:03.120Z",
            }
        }
    }


class ApprovalPage(Schema):
    """Open questions, the newest first."""

    items: list[ApprovalOut]
    next: str | None = NEXT


class ApprovalDecision(Schema):
    """Allow the command this once, or deny it."""

    choice: Literal["once", "deny"]
    subject_hash: Text = Field("", description="Refused with 409 if the question is not the one you read.")

    model_config = {"json_schema_extra": {"example": {"choice": "once", "subject_hash": "1c9e5a7b3d2f4e6a…"}}}


@router.get("", response=ApprovalPage, operation_id="list_approvals", summary="List what waits for you")
def list_approvals(request: HttpRequest, query: Query[PageQuery]) -> dict:
    """Undecided questions of runs you can see."""
    waiting = Approval.objects.filter(state=ApprovalState.PENDING, expires_at__gt=timezone.now())
    return page(permissions.visible(asker(request), waiting.select_related("run__agent"), "run.view"), query)


@router.post("/{approval_id}", response=ApprovalOut, operation_id="decide_approval", summary="Allow or deny")
def decide(request: HttpRequest, approval_id: Text, body: ApprovalDecision) -> Approval:
    """Decide once. 409 when it was decided before, has expired, or is not what you read."""
    user = asker(request)
    rows = Approval.objects.select_related("run__agent")
    question = permissions.fetch(user, "run.approve", rows, pk=approval_id)
    return approvals.decide(user, question, body.choice, body.subject_hash)
