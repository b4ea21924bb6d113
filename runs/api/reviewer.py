"""/api/reviewer: the model that may answer some requests first, what it said, and where people found it wrong."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from agents import permissions
from agents.api.asking import asker
from agents.api.shapes import NEXT, AgentRef, Money, PageQuery, Text, Version, given, page
from agents.models import Agent, ModelRoute
from runs import approvals
from runs.models import Most, ReviewerOpinion, ReviewerReversal, ReviewerSettings, ReviewOutcome, Verdict
from runs.reviewing import limits, lists, reversing, setting

router = Router(tags=["Reviewer"])
of_agents = Router(tags=["Reviewer"])

APPROVAL = "appr_01jd9zd2x4z6b8d0f2h4k6m8p0"
AGENT: dict[str, Any] = {"id": "agent_01jd9z6w3v8f4k2m7q5t0x1y9c", "name": "atlas"}


class ReviewerOut(Schema):
    """What holds for the reviewer everywhere."""

    is_on: bool
    route_id: str | None = None
    most: Most = Field(description="Up to which severity it is asked; never above `medium`.")
    version: int

    model_config = {
        "json_schema_extra": {
            "example": {"is_on": True, "route_id": "route_01jd9z5y1a3c5e7g9j1m3p5r7t", "most": "medium", "version": 3}
        }
    }


class ReviewerPatch(Schema):
    """What is to change; what is left out stays."""

    version: Version
    is_on: bool | None = None
    route_id: Text | None = Field(None, max_length=40, description="The model that reviews; not the rehearsal.")
    most: Most | None = None

    model_config = {"json_schema_extra": {"example": {"version": 3, "most": "low"}}}


class AgentReviewerOut(Schema):
    """Whether what an agent asks is put to the reviewer first."""

    is_on: bool
    answers: bool = Field(description="Whether it does: the reviewer itself is on too.")
    version: int

    model_config = {"json_schema_extra": {"example": {"is_on": True, "answers": True, "version": 1}}}


class AgentReviewerPatch(Schema):
    """The switch of one agent."""

    version: Version
    is_on: bool

    model_config = {"json_schema_extra": {"example": {"version": 1, "is_on": True}}}


class ReviewOut(Schema):
    """What the reviewer said of a request, or why it was not asked."""

    outcome: ReviewOutcome
    why: str = Field(description="Why it was left to a person, as a word.")
    sentence: str = Field(description="The same in a sentence.")
    verdict: Verdict | Literal[""]
    confidence: float | None = None
    reason: str
    asked_at: datetime | None = Field(None, description="Empty: it was not asked.")
    deadline_at: datetime | None = Field(None, description="While it is `asking`, until when it may answer.")
    answered_at: datetime | None = None
    reversed_at: datetime | None = Field(None, description="Since when people alone are asked about the like.")

    @staticmethod
    def resolve_sentence(row: ReviewerOpinion) -> str:
        return limits.sentence(row.why)


class OpinionOut(ReviewOut):
    """What the reviewer said of one request."""

    approval_id: str
    agent: AgentRef | None = None
    text: str = Field(description="What was asked for.")
    latency_ms: float | None = None
    cost: Money | None = None
    call_id: str

    model_config = {
        "json_schema_extra": {
            "example": {
                "approval_id": APPROVAL,
                "agent": AGENT,
                "text": "truncate -s 0 app.log",
                "outcome": "allowed",
                "why": "",
                "sentence": "",
                "verdict": "allow",
                "confidence": 0.92,
                "reason": "It empties a log that the person asked to be emptied.",
                "asked_at": "2026-11-20T09:15:03.120Z",
                "deadline_at": "2026-11-20T09:15:33.120Z",
                "answered_at": "2026-11-20T09:15:04.300Z",
                "latency_ms": 1180.0,
                "cost": "0.001100000",
                "call_id": "infer_01jd9zd2x4z6b8d0f2h4k6m8p0",
                "reversed_at": None,
            }
        }
    }

    @staticmethod
    def resolve_agent(row: ReviewerOpinion) -> Agent | None:
        return row.approval.agent

    @staticmethod
    def resolve_text(row: ReviewerOpinion) -> str:
        return row.approval.exact


class OpinionPage(Schema):
    """Opinions, the newest first."""

    items: list[OpinionOut]
    next: str | None = NEXT


class OpinionQuery(PageQuery):
    """Which opinions."""

    agent_id: Text = Field("", description="Only about this agent.")
    outcome: ReviewOutcome | Literal[""] = Field("", description="Only those that came to this.")


class ReviewReasonOut(Schema):
    """How often requests were left to people for one reason."""

    why: str
    label: str
    count: int


class ReviewerFigure(Schema):
    """How the reviewer did. `agreed` and `differed`: where people decided the like later, or the same after all."""

    agent_id: str = Field(description="Empty: all together.")
    agent_name: str
    requests: int
    asked: int
    allowed: int
    denied: int
    left: int
    reversed: int
    agreed: int
    differed: int
    cost: Decimal = Field(description="USD; at least that while `unpriced` calls are in it.")
    unpriced: int
    average_ms: float | None = None
    reasons: list[ReviewReasonOut]

    model_config = {
        "json_schema_extra": {
            "example": {
                "agent_id": AGENT["id"],
                "agent_name": "atlas",
                "requests": 41,
                "asked": 30,
                "allowed": 21,
                "denied": 2,
                "left": 18,
                "reversed": 1,
                "agreed": 9,
                "differed": 1,
                "cost": "0.0330",
                "unpriced": 0,
                "average_ms": 1180.0,
                "reasons": [{"why": "severity", "label": "too severe", "count": 11}],
            }
        }
    }


class ReviewerFigures(Schema):
    """All together, and per agent."""

    total: ReviewerFigure
    agents: list[ReviewerFigure]


class ReviewerFiguresQuery(Schema):
    """Over how many days."""

    days: int = Field(approvals.DEFAULT_DAYS, ge=1, le=approvals.MOST_DAYS)


class ReversalIn(Schema):
    """Why it was wrong."""

    note: Text = Field("", max_length=reversing.NOTE_CHARS)

    model_config = {"json_schema_extra": {"example": {"note": "It was the only copy."}}}


class ReversalOut(Schema):
    """Something the reviewer is not asked about any more."""

    id: int
    agent: AgentRef
    kind: str
    words: str = Field(description="What it covers.")
    note: str
    approval_id: str | None = None
    made_by: str | None = Field(None, alias="made_by.username")
    created_at: datetime
    undone_at: datetime | None = None

    model_config = {
        "json_schema_extra": {
            "example": {
                "id": 7,
                "agent": AGENT,
                "kind": "command",
                "words": "exactly this command: truncate -s 0 app.log",
                "note": "It was the only copy.",
                "approval_id": APPROVAL,
                "made_by": "maya",
                "created_at": "2026-11-20T09:20:00.000Z",
                "undone_at": None,
            }
        }
    }


class ReversalPage(Schema):
    """Reversals, the newest first."""

    items: list[ReversalOut]
    next: str | None = NEXT


class ReversalQuery(PageQuery):
    """Which reversals."""

    undone: bool = Field(False, description="Those that were undone too.")


@router.get("", response=ReviewerOut, operation_id="get_reviewer", summary="What holds for the reviewer")
def get_reviewer(request: HttpRequest) -> ReviewerSettings:
    """For operators and admins."""
    permissions.require(asker(request), "reviewer.switch")
    return setting.site()


@router.patch("", response=ReviewerOut, operation_id="change_reviewer", summary="Change the reviewer")
def change_reviewer(request: HttpRequest, body: ReviewerPatch) -> ReviewerSettings:
    """For admins. 409 `stale` when somebody saved since the `version` you read."""
    user = asker(request)
    permissions.require(user, "reviewer.edit")
    fields: dict[str, Any] = given(body, ("route_id",))
    if "route_id" in fields:
        named = fields.pop("route_id")
        rows = ModelRoute.objects.select_related("provider")
        fields["route"] = permissions.fetch(user, "route.view", rows, pk=named) if named else None
    return setting.change(user, body.version, **fields)


@router.get("/figures", response=ReviewerFigures, operation_id="reviewer_figures", summary="How the reviewer did")
def reviewer_figures(request: HttpRequest, query: Query[ReviewerFiguresQuery]) -> dict[str, Any]:
    """Over the requests you can see."""
    total, agents = lists.figures(asker(request), query.days)
    return {"total": asdict(total), "agents": [asdict(each) for each in agents]}


@router.get("/opinions", response=OpinionPage, operation_id="list_reviewer_opinions", summary="What the reviewer said")
def list_opinions(request: HttpRequest, query: Query[OpinionQuery]) -> dict:
    """Of requests you can see, also those it was not asked about."""
    rows: QuerySet[ReviewerOpinion] = lists.detailed(lists.seen_by(asker(request)))
    rows = rows.filter(approval__agent_id=query.agent_id) if query.agent_id else rows
    rows = rows.filter(outcome=query.outcome) if query.outcome else rows
    return page(rows, query)


@router.post(
    "/opinions/{approval_id}/reverse",
    response={201: ReversalOut},
    operation_id="reverse_reviewer",
    summary="Say that the reviewer was wrong",
)
def reverse(request: HttpRequest, approval_id: Text, body: ReversalIn) -> Status:
    """From now on people alone are asked about the like. What was done stays done."""
    return Status(201, reversing.reverse(asker(request), approval_id, body.note))


@router.get(
    "/reversals", response=ReversalPage, operation_id="list_reviewer_reversals", summary="Where the reviewer was wrong"
)
def list_reversals(request: HttpRequest, query: Query[ReversalQuery]) -> dict:
    """Yours, and those of agents you manage."""
    rows = reversing.seen_by(asker(request))
    rows = rows if query.undone else reversing.living(rows)
    return page(rows.select_related("agent", "made_by"), query)


@router.delete(
    "/reversals/{reversal_id}", response=ReversalOut, operation_id="undo_reviewer_reversal", summary="Undo a reversal"
)
def undo(request: HttpRequest, reversal_id: int) -> ReviewerReversal:
    """The reviewer may be asked about the like again. 409 when it was undone already."""
    return reversing.undo(asker(request), reversal_id)


@of_agents.get(
    "/{agent_id}/reviewer",
    response=AgentReviewerOut,
    operation_id="get_agent_reviewer",
    summary="Is an agent reviewed?",
)
def get_agent_reviewer(request: HttpRequest, agent_id: Text) -> dict[str, Any]:
    """For everybody who can see the agent."""
    return _switch(permissions.fetch(asker(request), "agent.view", Agent.objects.alive(), pk=agent_id))


@of_agents.patch(
    "/{agent_id}/reviewer",
    response=AgentReviewerOut,
    operation_id="change_agent_reviewer",
    summary="Switch an agent's reviewer",
)
def change_agent_reviewer(request: HttpRequest, agent_id: Text, body: AgentReviewerPatch) -> dict[str, Any]:
    """For operators who manage the agent. On: from its next message. Off: at once."""
    user = asker(request)
    agent = permissions.fetch(user, "reviewer.switch", Agent.objects.alive(), pk=agent_id)
    setting.switch(user, agent, body.is_on, body.version)
    return _switch(agent)


def _switch(agent: Agent) -> dict[str, Any]:
    row = setting.switched(agent)
    return {"is_on": row.is_on, "answers": setting.stamped(agent) != setting.MANUAL, "version": row.version}
