"""/api/policies/{id}/what-if: what a draft would have changed."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest
from ninja import Field, Router, Schema

from agents import permissions
from agents.api.asking import asker
from agents.api.policies import RULE, RuleIn, written
from agents.api.shapes import Text
from agents.models import Policy
from agents.policies import clean_rules
from agents.reach import MAX_RULES, parse
from sandboxes import what_if
from sandboxes.what_if import Outcome

router = Router(tags=["Policies"])


class Draft(Schema):
    """Rules that are not saved, and how far back to look."""

    rules: list[RuleIn] = Field(max_length=MAX_RULES, description="The whole list.")
    days: int = Field(what_if.DEFAULT_DAYS, ge=1, le=what_if.MOST_DAYS)

    model_config = {"json_schema_extra": {"example": {"rules": [RULE], "days": 7}}}


class ChangeOut(Schema):
    """One kind of connection that the draft decides otherwise."""

    agent_id: str = Field(alias="agent.pk")
    host: str
    port: int
    binary: str
    count: int
    last: datetime
    allowed: bool = Field(description="By the draft; until now it was the other.")
    reason: str


class OutcomeOut(Schema):
    """What the draft does to the connections recorded of agents with the policy, as far as you may see them."""

    days: int
    agents: int
    connections: int
    newly_allowed: int
    newly_refused: int
    still_allowed: int
    still_refused: int
    changes: list[ChangeOut] = Field(description=f"The most frequent first, {what_if.SHOWN} at most.")
    more: int

    model_config = {
        "json_schema_extra": {
            "example": {
                "days": 7,
                "agents": 2,
                "connections": 1204,
                "newly_allowed": 0,
                "newly_refused": 31,
                "still_allowed": 1170,
                "still_refused": 3,
                "changes": [],
                "more": 0,
            }
        }
    }


@router.post("/{policy_id}/what-if", response=OutcomeOut, operation_id="what_if", summary="What would a draft change?")
def try_draft(request: HttpRequest, policy_id: Text, body: Draft) -> Outcome:
    """Decide recorded connections anew with these rules in the place of the policy's. Nothing is saved."""
    user = asker(request)
    policy = permissions.fetch(user, "policy.edit", Policy.objects.all(), pk=policy_id)
    return what_if.replay(user, policy, parse(clean_rules(written(body.rules)), policy.pk), body.days)
