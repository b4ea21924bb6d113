"""/api/policies/{id}/what-if and /api/presets/{id}/what-if: what a draft would have changed."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest
from ninja import Field, Router, Schema

from agents import permissions
from agents.api.asking import asker
from agents.api.policies import MAX_PRESETS, RULE, RuleIn, written
from agents.api.shapes import Text
from agents.models import Agent, Policy, Preset
from agents.policies import clean_rules
from agents.reach import MAX_RULES
from sandboxes import what_if
from sandboxes.tool_server import what_if as tools_what_if
from sandboxes.what_if import Outcome

router = Router(tags=["Policies"])
presets_router = Router(tags=["Presets"])
tools_router = Router(tags=["Tools"])


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
    rule: str = Field(description="The rule that makes the difference.")
    run_id: str = Field(description="The newest run it happened in that you may see, or empty.")


class ShareOut(Schema):
    """How much of what changes belongs to one rule, agent or person."""

    name: str
    newly_blocked: int
    newly_asked: int
    newly_allowed: int
    newly_admin: int = Field(0, description="Taken to operators; of commands alone.")


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
    by_rule: list[ShareOut]
    by_agent: list[ShareOut]
    by_person: list[ShareOut] = Field(description="Of runs you may see; the rest is nobody's.")

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
                "by_rule": [{"name": "uploads", "newly_blocked": 31, "newly_asked": 0, "newly_allowed": 0}],
                "by_agent": [{"name": "atlas", "newly_blocked": 31, "newly_asked": 0, "newly_allowed": 0}],
                "by_person": [{"name": "alice", "newly_blocked": 31, "newly_asked": 0, "newly_allowed": 0}],
            }
        }
    }


class ToolRuleDraft(Schema):
    """One rule of a draft."""

    tool: Text = Field(max_length=60)
    tier: Text = Field(max_length=6, description="allow, notify, ask or block.")
    condition: Text = Field("", max_length=7)
    pattern: Text = Field("", max_length=300)

    model_config = {"json_schema_extra": {"example": {"tool": "git.*", "tier": "ask"}}}


class ToolDraft(Schema):
    """Tool rules that are not saved: all of one agent's own, or, without an agent, all the site has for every agent."""

    agent_id: Text = ""
    rules: list[ToolRuleDraft] = Field(max_length=tools_what_if.MOST_DRAFTED)
    days: int = Field(tools_what_if.DEFAULT_DAYS, ge=1, le=tools_what_if.MOST_DAYS)

    model_config = {"json_schema_extra": {"example": {"rules": [{"tool": "git.*", "tier": "ask"}], "days": 7}}}


class ToolTurnedOut(Schema):
    """One call that the draft judges otherwise."""

    agent_id: str = Field(alias="agent.pk")
    tool: str
    about: str
    count: int
    last: datetime | None
    before: str
    after: str
    reason: str
    run_id: str


class ToolOutcomeOut(Schema):
    """What the draft does to the calls recorded, as far as you may see them. Rates are left out."""

    days: int
    agents: int
    calls: int
    newly_blocked: int
    newly_asked: int
    newly_allowed: int
    unclear: int = Field(description="Calls whose arguments can be read no more.")
    changes: list[ToolTurnedOut] = Field(description=f"The most frequent first, {tools_what_if.SHOWN} at most.")
    more: int
    by_rule: list[ShareOut]
    by_agent: list[ShareOut]
    by_person: list[ShareOut]


@tools_router.post(
    "/what-if", response=ToolOutcomeOut, operation_id="what_if_tools", summary="What would a draft change?"
)
def try_tools(request: HttpRequest, body: ToolDraft) -> tools_what_if.ToolOutcome:
    """Judge recorded tool calls anew with these rules. Nothing is saved."""
    user = asker(request)
    agent = permissions.fetch(user, "tool.rules", Agent.objects.alive(), pk=body.agent_id) if body.agent_id else None
    draft = tools_what_if.drafted(user, agent, [rule.dict() for rule in body.rules])
    return tools_what_if.replay(user, agent, draft, body.days)


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
