"""/api/gate/what-if: what a draft of gate rules would have changed."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest
from ninja import Field, Router, Schema

from agents import gate_rules, permissions
from agents.api.asking import asker
from agents.api.gate import GATE_RULE, GateRuleFields
from agents.api.shapes import Text
from agents.models import Policy
from runs.time_machine import commands
from runs.time_machine.commands import SHOWN, CommandOutcome
from sandboxes.what_if_api import ShareOut

router = Router(tags=["Approvals"])


class GateDraft(Schema):
    """Gate rules that are not saved: all of those with the policy, or, without one, all there are for every agent."""

    policy_id: Text = Field("", max_length=40)
    rules: list[GateRuleFields] = Field(max_length=gate_rules.MOST_RULES)
    days: int = Field(commands.DEFAULT_DAYS, ge=1, le=commands.MOST_DAYS)

    model_config = {"json_schema_extra": {"example": {"rules": [GATE_RULE], "days": 7}}}


class CommandTurnedOut(Schema):
    """One command that the draft judges otherwise."""

    agent_id: str = Field(alias="agent.pk")
    command: str
    count: int
    last: datetime | None
    before: str
    after: str
    rule: str = Field(description="The rule that makes the difference.")
    run_id: str = Field(description="The newest run it happened in that you may see, or empty.")


class CommandOutcomeOut(Schema):
    """What the draft does to the commands recorded, as far as you may see them."""

    days: int
    agents: int
    commands: int
    newly_blocked: int
    newly_asked: int
    newly_allowed: int
    newly_admin: int = Field(description="Taken to operators.")
    no_longer_admin: int = Field(description="Taken from operators.")
    unclear: int = Field(description="Commands that are not whole on record.")
    changes: list[CommandTurnedOut] = Field(description=f"The most frequent first, {SHOWN} at most.")
    more: int
    by_rule: list[ShareOut]
    by_agent: list[ShareOut]
    by_person: list[ShareOut]


@router.post("/what-if", response=CommandOutcomeOut, operation_id="what_if_gate", summary="What would a draft change?")
def try_gate_draft(request: HttpRequest, body: GateDraft) -> CommandOutcome:
    """Judge recorded commands anew with these rules. Nothing is saved."""
    user = asker(request)
    policy = permissions.fetch(user, "gate.edit", Policy.objects.all(), pk=body.policy_id) if body.policy_id else None
    draft = commands.drafted(user, policy, [rule.dict() for rule in body.rules])
    return commands.replay(user, policy, draft, body.days)
