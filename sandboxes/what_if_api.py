"""/api/policies/{id}/what-if and /api/presets/{id}/what-if: what a draft would have changed."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest
from ninja import Field, Router, Schema

from agents import permissions
from agents.api.asking import asker
from agents.api.policies import MAX_PRESETS, RULE, RuleIn, written
from agents.api.shapes import Text
from agents.models import Policy, Preset
from agents.policies import clean_rules
from agents.reach import MAX_RULES
from sandboxes import what_if
from sandboxes.what_if import Outcome

router = Router(tags=["Policies"])
presets_router = Router(tags=["Presets"])


class PresetDraft(Schema):
    """Rules that are not saved, and how far back to look."""

    rules: list[RuleIn] = Field(max_length=MAX_RULES, description="The whole list.")
    days: int = Field(what_if.DEFAULT_DAYS, ge=1, le=what_if.MOST_DAYS)

    model_config = {"json_schema_extra": {"example": {"rules": [RULE], "days": 7}}}


class Draft(PresetDraft):
    """The same of a policy, with the presets it would include."""

    preset_ids: list[Text] | None = Field(
        None, max_length=MAX_PRESETS, description="Those it would include; those it includes when left out."
    )

    model_config = {"json_schema_extra": {"example": {"rules": [RULE], "days": 7}}}


class TurnedOut(Schema):
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
    changes: list[TurnedOut] = Field(description=f"The most frequent first, {what_if.SHOWN} at most.")
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
    draft = what_if.drafted(policy, clean_rules(written(body.rules)), body.preset_ids)
    return what_if.replay(user, policy, draft, body.days)


@presets_router.post(
    "/{preset_id}/what-if", response=OutcomeOut, operation_id="what_if_preset", summary="What would a draft change?"
)
def try_preset(request: HttpRequest, preset_id: Text, body: PresetDraft) -> Outcome:
    """Decide recorded connections of every agent that has the preset anew with these rules. Nothing is saved."""
    user = asker(request)
    preset = permissions.fetch(user, "preset.edit", Preset.objects.all(), pk=preset_id)
    draft = what_if.drafted_preset(preset, clean_rules(written(body.rules)))
    return what_if.replay(user, preset, draft, body.days)
