"""/api/agents/…/learning and …/proposal: let an agent learn what it needs, and the rules that would cover it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from agents import agent_pages, learning, permissions
from agents.api.asking import asker
from agents.api.policies import RULE, RuleOut
from agents.api.shapes import Text
from agents.models import Agent, Learning
from runs import learned, proposed_rules
from runs.api.approvals import ApprovalOut
from sandboxes.what_if_api import OutcomeOut

router = Router(tags=["Egress"])

EXAMPLE: dict[str, Any] = {
    "policy_id": "pol_01jd9z7c3f5h7k9n1q3s5v7x9z",
    "started_at": "2026-11-20T09:12:44.120Z",
    "until": "2026-11-20T10:12:44.120Z",
}


class LearningIn(Schema):
    """For which of the agent's policies, and for how long."""

    policy_id: Text = Field(max_length=60)
    minutes: int = Field(learning.DEFAULT_MINUTES, ge=1, le=learning.MOST_MINUTES)

    model_config = {"json_schema_extra": {"example": {"policy_id": EXAMPLE["policy_id"], "minutes": 60}}}


class LearningOut(Schema):
    """A time of learning: until then every public host is let through on ports 80 and 443, and recorded."""

    policy_id: str
    started_at: datetime
    until: datetime

    model_config = {"json_schema_extra": {"example": EXAMPLE}}


class StateOut(Schema):
    """Whether the agent learns now, and until when."""

    learns: bool
    until: datetime | None

    model_config = {"json_schema_extra": {"example": {"learns": True, "until": EXAMPLE["until"]}}}


class ProposalQuery(Schema):
    """From what, for which policy."""

    source: Literal["learned", "denied"] = Field(
        "learned", description=f"The last time of learning, or refusals of {learned.DENIED_DAYS} days."
    )
    policy_id: Text = Field("", max_length=60, description="Empty: the one it learned for, else the first of yours.")


class LeftOutOut(Schema):
    """What no rule is proposed for."""

    host: str = Field(alias="asked.host")
    port: int = Field(alias="asked.port")
    binary: str = Field(alias="asked.binary")
    why: str


class ProposalOut(Schema):
    """Rules to add to the policy as it is at `policy_version`, and what that would change of what was recorded. Store them
    with PATCH /api/policies/{id}."""

    policy_id: str = Field(alias="policy.pk")
    policy_version: int = Field(alias="policy.version")
    rules: list[RuleOut]
    left_out: list[LeftOutOut]
    outcome: OutcomeOut

    model_config = {
        "json_schema_extra": {
            "example": {
                "policy_id": EXAMPLE["policy_id"],
                "policy_version": 3,
                "rules": [RULE],
                "left_out": [],
                "outcome": OutcomeOut.model_config["json_schema_extra"]["example"],  # type: ignore[index]
            }
        }
    }

    @staticmethod
    def resolve_rules(proposed: learned.Proposed) -> list[dict[str, Any]]:
        return [rule.as_json() for rule in proposed.rules]


@router.get("/{agent_id}/learning", response=StateOut, operation_id="get_learning", summary="Does it learn?")
def get_learning(request: HttpRequest, agent_id: Text) -> dict[str, Any]:
    """Whether the agent is let through to what no rule names, and until when."""
    agent: Agent = permissions.fetch(asker(request), "agent.view", agent_pages.rows(), pk=agent_id)
    until = learning.until(agent.pk)
    return {"learns": until is not None, "until": until}


@router.post("/{agent_id}/learning", response={201: LearningOut}, operation_id="start_learning", summary="Let it learn")
def start_learning(request: HttpRequest, agent_id: Text, body: LearningIn) -> Learning:
    """For operators and admins who manage the agent and may edit the policy. It ends by itself."""
    return learning.start(asker(request), agent_id, body.policy_id, body.minutes)


@router.delete("/{agent_id}/learning", response={204: None}, operation_id="stop_learning", summary="End the learning")
def stop_learning(request: HttpRequest, agent_id: Text) -> None:
    """For whoever manages the agent; 409 when it does not learn."""
    learning.stop(asker(request), agent_id)


class ProposalIn(Schema):
    """Rules as lines, for one of the agent's policies."""

    policy_id: Text = Field(max_length=60)
    lines: list[Annotated[Text, Field(max_length=2_000)]] = Field(min_length=1, max_length=proposed_rules.MOST_LINES)
    why: Text = Field("", max_length=500)

    model_config = {
        "json_schema_extra": {
            "example": {"policy_id": EXAMPLE["policy_id"], "lines": ["pypi.org by /usr/bin/pip"], "why": "To install"}
        }
    }


@router.post(
    "/{agent_id}/proposal", response={201: ApprovalOut}, operation_id="send_proposal", summary="Send proposed rules"
)
def send_proposal(request: HttpRequest, agent_id: Text, body: ProposalIn) -> Status:
    """For those who may not change the policy: whoever may decides about exactly these lines."""
    return Status(201, proposed_rules.send(asker(request), agent_id, body.policy_id, body.lines, body.why))


@router.get("/{agent_id}/proposal", response=ProposalOut, operation_id="propose_rules", summary="Propose rules")
def propose_rules(request: HttpRequest, agent_id: Text, query: Query[ProposalQuery]) -> learned.Proposed:
    """The fewest rules that allow exactly what was recorded, as far as you may see it. Nothing is saved."""
    user = asker(request)
    agent: Agent = permissions.fetch(user, "agent.view", agent_pages.rows(), pk=agent_id)
    policy = learning.require_policy(user, agent, query.policy_id)
    return learned.proposed(user, agent, policy, query.source)
