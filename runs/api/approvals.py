"""/api/approvals: what waits for a person, the decision, and the rules that were made of decisions."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from agents.api.asking import asker
from agents.api.shapes import NEXT, AgentRef, PageQuery, Text, page
from agents.models import User
from runs import approvals, asked_hosts
from runs.api.reviewer import ReviewOut
from runs.models import Approval, ApprovalKind, ApprovalRule, ApprovalState, Choice, ReviewerOpinion, Scope, Tier

router = Router(tags=["Approvals"])
of_runs = Router(tags=["Approvals"])

HOUR_S = 3600


class Finding(Schema):
    """Why something was asked rather than done."""

    rule: str
    severity: str
    sentence: str


class ApprovalOut(Schema):
    """What somebody asks a person for: a command, a host, a tool, an account, a change of a policy."""

    id: str
    kind: ApprovalKind
    tier: Tier = Field(description="`user`: the person whose run it is decides; `admin`: operators and admins.")
    run_id: str | None = None
    agent: AgentRef | None = None
    title: str
    subject: dict[str, Any] = Field(description="Exactly what is asked for, secrets masked.")
    text: str = Field(alias="exact", description="The same as text.")
    purpose: str
    findings: list[Finding]
    severity: str
    subject_hash: str = Field(description="Binds your decision to exactly this.")
    state: ApprovalState
    choice: Choice | Literal[""]
    choices: list[Choice] = Field(description="What may be answered.")
    rule_covers: str = Field(description="What a rule made of this would allow.")
    caution: str = Field(description="What whoever allows it should know.")
    decided_by: str | None = Field(None, alias="decided_by.username")
    decided_at: datetime | None = None
    decided_via: str
    note: str
    answer: str = Field(description="What was said to a question.")
    needed: int = Field(description="How many people must allow it.")
    allowed_by: int = Field(description="How many have, while more must.")
    team: str = Field("", alias="team_name", description="Only the leave of members of this group counts.")
    escalates_at: datetime | None = Field(None, description="When others may decide it too, if nobody has.")
    escalates_to: str | None = Field(
        None, alias="escalates_to.name", description="The group that may then; null is operators who manage the agent."
    )
    escalated_at: datetime | None = Field(None, description="Since when they may.")
    was_canary: bool = Field(
        False, description="It did nothing: it was put to see whether people read. Told afterwards."
    )
    frozen_at: datetime | None = Field(None, description="Since when its time stands still, because work is halted.")
    reviewer: ReviewOut | None = Field(None, description="Where a model looked at it, or would have.")
    expires_at: datetime
    created_at: datetime

    model_config = {
        "json_schema_extra": {
            "example": {
                "id": "appr_01jd9zd2x4z6b8d0f2h4k6m8p0",
                "kind": "command",
                "tier": "user",
                "run_id": "run_01jd9zb4m0c2e6h8k1n3q5s7v9",
                "agent": {"id": "agent_01jd9z6w3v8f4k2m7q5t0x1y9c", "name": "atlas"},
                "title": "recursive delete",
                "subject": {"command": "rm -rf build"},
                "text": "rm -rf build",
                "purpose": "",
                "findings": [],
                "severity": "",
                "subject_hash": "1c9e5a7b3d2f4e6a8c0b1d3f5e7a9c2b4d6f8e0a1c3b5d7f9e2a4c6b8d0f1e3a",
                "state": "pending",
                "choice": "",
                "choices": ["once", "run", "rule", "deny"],
                "rule_covers": "exactly this command: rm -rf build",
                "caution": "",
                "decided_by": None,
                "decided_at": None,
                "decided_via": "",
                "note": "",
                "answer": "",
                "needed": 1,
                "allowed_by": 0,
                "team": "",
                "escalates_at": None,
                "escalates_to": None,
                "escalated_at": None,
                "was_canary": False,
                "frozen_at": None,
                "reviewer": None,
                "expires_at": "2026-11-20T09:20:03.120Z",
                "created_at": "2026-11-20T09:15:03.120Z",
            }
        }
    }

    @staticmethod
    def resolve_choices(row: Approval) -> list[str]:
        return [choice for choice in approvals.KINDS[row.kind].choices if row.run_id or choice != Choice.RUN]

    @staticmethod
    def resolve_allowed_by(row: Approval) -> int:
        return len(row.votes)

    @staticmethod
    def resolve_was_canary(row: Approval) -> bool:
        return row.is_canary and row.state != ApprovalState.PENDING

    @staticmethod
    def resolve_caution(row: Approval) -> str:
        return approvals.KINDS[row.kind].caution

    @staticmethod
    def resolve_reviewer(row: Approval) -> ReviewerOpinion | None:
        return getattr(row, "opinion", None)

    @staticmethod
    def resolve_rule_covers(row: Approval) -> str:
        spec = approvals.KINDS[row.kind]
        return spec.covered(row.subject) if Choice.RULE in spec.choices else ""


class ApprovalPage(Schema):
    """What waits, the oldest first; of what is decided the newest first."""

    items: list[ApprovalOut]
    next: str | None = NEXT


class ApprovalQuery(PageQuery):
    """Which requests."""

    state: ApprovalState | Literal["all"] = Field(
        ApprovalState.PENDING, description="`pending` unless you ask for others."
    )
    kind: ApprovalKind | None = None
    run_id: Text = Field("", description="Only those of this run.")
    agent_id: Text = Field("", description="Only those of this agent.")
    decided_by: Text = Field("", description="Only what this person decided: a user name.")
    via: Text = Field("", description="Only what was decided by this door: page, api, command, rule, gate, reviewer …")
    mine: bool = Field(False, description="Only those you may decide now.")


class RuleWishIn(Schema):
    """The rule to make: for how far, and for how long."""

    scope: Scope = Field(Scope.AGENT, description="`run`: the rest of this run; `agent`: every run of the agent.")
    hours: float | None = Field(None, gt=0, le=24 * 366, description="As long as you may, when left out.")


class ApprovalDecision(Schema):
    """Allow it once, for this run, or by a rule; answer a question in words; or deny it, with a note the agent reads."""

    choice: Choice
    subject_hash: Text = Field("", description="Refused with 409 if the question is not the one you read.")
    note: Text = Field("", max_length=500)
    answer: Text = Field("", max_length=4_000, description="With the choice `answer`, for a question.")
    rule: RuleWishIn | None = Field(None, description="With the choice `rule`.")

    model_config = {
        "json_schema_extra": {
            "example": {"choice": "deny", "subject_hash": "1c9e5a7b3d2f4e6a…", "note": "Use the trash instead."}
        }
    }


class ApprovalRuleOut(Schema):
    """What an agent may do unasked until the rule ends."""

    id: str
    kind: ApprovalKind
    tier: Tier
    scope: Scope
    agent: AgentRef
    run_id: str | None = None
    words: str
    made_by: str | None = Field(None, alias="made_by.username")
    approval_id: str | None = None
    expires_at: datetime
    revoked_at: datetime | None = None
    used: int
    used_at: datetime | None = None
    created_at: datetime

    model_config = {
        "json_schema_extra": {
            "example": {
                "id": "rule_01jd9zd2x4z6b8d0f2h4k6m8p0",
                "kind": "command",
                "tier": "user",
                "scope": "agent",
                "agent": {"id": "agent_01jd9z6w3v8f4k2m7q5t0x1y9c", "name": "atlas"},
                "run_id": None,
                "words": "exactly this command: rm -rf build, in every run of atlas",
                "made_by": "maya",
                "approval_id": "appr_01jd9zd2x4z6b8d0f2h4k6m8p0",
                "expires_at": "2026-11-21T09:15:03.120Z",
                "revoked_at": None,
                "used": 3,
                "used_at": "2026-11-20T11:02:41.007Z",
                "created_at": "2026-11-20T09:15:03.120Z",
            }
        }
    }


class ApprovalRulePage(Schema):
    """Rules, the newest first."""

    items: list[ApprovalRuleOut]
    next: str | None = NEXT


class RuleQuery(PageQuery):
    """Which rules."""

    agent_id: Text = Field("", description="Only those of this agent.")
    ended: bool = Field(False, description="Those that have ended too.")


@router.get("", response=ApprovalPage, operation_id="list_approvals", summary="List what waits for a decision")
def list_approvals(request: HttpRequest, query: Query[ApprovalQuery]) -> dict:
    """Requests of runs you can see, and those put to you."""
    return page(_listed(asker(request), query), query, newest_first=query.state != ApprovalState.PENDING)


def _listed(user: User, query: ApprovalQuery) -> QuerySet[Approval]:
    if query.mine:
        rows = approvals.open_for(user)
    elif query.state == ApprovalState.PENDING:
        rows = approvals.undecided(approvals.seen_by(user))
    else:
        rows = approvals.seen_by(user)
        rows = rows if query.state == "all" else rows.filter(state=query.state)
    chosen = {"kind": query.kind, "run_id": query.run_id, "agent_id": query.agent_id}
    chosen |= {"decided_by__username": query.decided_by, "decided_via": query.via}
    rows = rows.filter(**{name: value for name, value in chosen.items() if value})
    return rows.select_related("agent", "decided_by", "opinion", "escalates_to")


@router.get(
    "/rules", response=ApprovalRulePage, operation_id="list_approval_rules", summary="List the rules made of decisions"
)
def list_rules(request: HttpRequest, query: Query[RuleQuery]) -> dict:
    """What agents may do unasked for a while: in runs you can see, and for agents you manage."""
    rows = approvals.rules_seen_by(asker(request))
    rows = rows if query.ended else approvals.living(rows)
    rows = rows.filter(agent_id=query.agent_id) if query.agent_id else rows
    return page(rows.select_related("agent", "made_by"), query)


@router.delete("/rules/{rule_id}", response=ApprovalRuleOut, operation_id="end_approval_rule", summary="End a rule now")
def end_rule(request: HttpRequest, rule_id: Text) -> ApprovalRule:
    """What it allowed is asked for again. 409 when it has ended already."""
    return approvals.revoke(asker(request), rule_id)


@router.get("/{approval_id}", response=ApprovalOut, operation_id="get_approval", summary="Read one request")
def get_approval(request: HttpRequest, approval_id: Text) -> Approval:
    """Whatever became of it."""
    return approvals.find(asker(request), approval_id)


@router.post("/{approval_id}", response=ApprovalOut, operation_id="decide_approval", summary="Allow or deny")
def decide(request: HttpRequest, approval_id: Text, body: ApprovalDecision) -> Approval:
    """Decide once. 409 when it was decided before, has expired, or is not what you read."""
    user = asker(request)
    wish = None
    if body.rule is not None:
        hours = body.rule.hours
        wish = approvals.RuleWish(body.rule.scope, None if hours is None else int(hours * HOUR_S))
    return approvals.decide(
        user,
        approvals.find(user, approval_id),
        body.choice,
        subject_hash=body.subject_hash,
        note=body.note,
        answer=body.answer,
        rule=wish,
        via="api",
    )


class HostIn(Schema):
    """A host that the run was refused."""

    host: Text = Field(max_length=253)
    port: int = Field(443, ge=1, le=65_535)

    model_config = {"json_schema_extra": {"example": {"host": "docs.example.org", "port": 443}}}


@of_runs.post(
    "/{run_id}/hosts",
    response={201: ApprovalOut},
    operation_id="ask_for_host",
    summary="Ask for a host a run was refused",
)
def ask_for_host(request: HttpRequest, run_id: Text, body: HostIn) -> Status:
    """Operators who manage the agent decide. Asking again while that waits gives the same request."""
    return Status(201, asked_hosts.ask_for(asker(request), run_id, body.host, body.port))
