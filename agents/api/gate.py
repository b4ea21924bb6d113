"""/api/gate: what the command gate would say about a command; nothing is run and nothing is asked."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status

from agents import gate_rules, permissions
from agents.api.asking import asker
from agents.api.shapes import PersonRef, Text, Version, given
from agents.models import GateRule, Policy

router = Router(tags=["Approvals"])

LONGEST = 65_536


class GateCommand(Schema):
    """A command to try."""

    command: Text = Field(max_length=LONGEST, description="As a shell would be given it; more than one line is fine.")
    agent_id: Text = Field("", max_length=40, description="For this agent; else under the rules for every agent.")

    model_config = {"json_schema_extra": {"example": {"command": "sudo rm -rf build"}}}


class GateFinding(Schema):
    """One reason to look twice."""

    rule: str = Field(description="A rule of docs/command-gate.md.")
    severity: Literal["low", "medium", "high", "critical"]
    sentence: str
    excerpt: str = Field(description="The part it is about, out of what it was wrapped in.")


class GateJudgement(Schema):
    """The verdict. ``block`` is what nobody may approve."""

    verdict: Literal["allow", "ask", "block"]
    severity: Literal["", "low", "medium", "high", "critical"]
    findings: list[GateFinding]
    normalised: str = Field(
        description="The one form of the command, whatever its quotes and the order of its switches."
    )
    key: str = Field(description="What approvals and rules of such a command are bound to.")

    model_config = {
        "json_schema_extra": {
            "example": {
                "verdict": "ask",
                "severity": "high",
                "findings": [
                    {
                        "rule": "delete-recursive",
                        "severity": "high",
                        "sentence": "Deletes a directory and everything below it.",
                        "excerpt": "sudo rm -rf build",
                    },
                    {
                        "rule": "as-root",
                        "severity": "low",
                        "sentence": "Runs as another user, usually root.",
                        "excerpt": "sudo rm -rf build",
                    },
                ],
                "normalised": "sudo rm -rf build",
                "key": "5f0c0ad1c9bb3e7a4f6e2d8b1a9c3e5d7f9b1c3e5a7d9f1b3c5e7a9d1f3b5c7e",
            }
        }
    }


@router.post(
    "/check", response=GateJudgement, operation_id="check_command", summary="Judge a command without running it"
)
def check(request: HttpRequest, body: GateCommand) -> Any:
    """What the gate would say if an agent wanted to run it."""
    return gate_rules.tried(asker(request), body.command, body.agent_id)


WHEN: Any = Field(
    description="What it looks for: a table of conditions that must all hold, or a list of such tables of which one must. "
    "See docs/command-gate.md."
)
GATE_RULE: dict[str, Any] = {
    "name": "no-terraform",
    "severity": "high",
    "answer": "operators",
    "sentence": "Changes what runs in the cloud.",
    "when": {"program": ["terraform"], "first": ["apply", "destroy"]},
}
GateLevel = Literal["low", "medium", "high", "critical"]
GateWho = Literal["person", "operators", "nobody"]


class GateRuleFields(Schema):
    """What a rule says."""

    name: Text = Field(max_length=60, description="Small letters, digits and dashes; no other rule has it.")
    severity: GateLevel
    answer: GateWho = Field("person", description="Who may allow what falls under it.")
    sentence: Text = Field("", max_length=200, description="For whoever decides.")
    when: dict[str, Any] | list[dict[str, Any]] = WHEN


class GateRuleIn(GateRuleFields):
    """A new rule."""

    policy_id: Text = Field("", max_length=40, description="For agents with this policy; empty: for every agent.")

    model_config = {"json_schema_extra": {"example": GATE_RULE}}


class GateRulePatch(Schema):
    """What is to change; what is left out stays."""

    version: Version
    name: Text | None = Field(None, max_length=60)
    severity: GateLevel | None = None
    answer: GateWho | None = None
    sentence: Text | None = Field(None, max_length=200)
    when: dict[str, Any] | list[dict[str, Any]] | None = None

    model_config = {"json_schema_extra": {"example": {"version": 1, "answer": "nobody"}}}


class GateRuleOut(GateRuleFields):
    """A rule beside those that come with Logos."""

    id: str
    policy_id: str | None
    made_by: PersonRef | None
    created_at: datetime
    version: int

    model_config = {
        "json_schema_extra": {
            "example": {
                "id": "gaterule_01jd9zb4p2r4t6v8x0z2b4d6f8",
                **GATE_RULE,
                "policy_id": None,
                "made_by": {"username": "ada", "name": "Ada Lovelace"},
                "created_at": "2026-11-21T09:15:02.655Z",
                "version": 1,
            }
        }
    }


class GateRuleList(Schema):
    """The rules one may see."""

    items: list[GateRuleOut]


@router.get("/rules", response=GateRuleList, operation_id="list_gate_rules", summary="Rules beside the shipped ones")
def list_gate_rules(request: HttpRequest) -> dict[str, Any]:
    """Those for every agent, and of policies you see."""
    return {"items": gate_rules.seen_by(asker(request)).order_by("name")}


@router.post("/rules", response={201: GateRuleOut}, operation_id="create_gate_rule", summary="Write a gate rule")
def create_gate_rule(request: HttpRequest, body: GateRuleIn) -> GateRule:
    """It holds from the next command. It can add or raise, and weakens nothing."""
    user, fields = asker(request), body.dict()
    policy_id = fields.pop("policy_id")
    policy = permissions.fetch(user, "gate.edit", Policy.objects.all(), pk=policy_id) if policy_id else None
    return gate_rules.create(user, policy, **fields)


@router.get("/rules/{gate_rule_id}", response=GateRuleOut, operation_id="get_gate_rule", summary="One gate rule")
def get_gate_rule(request: HttpRequest, gate_rule_id: Text) -> GateRule:
    """By its id."""
    return gate_rules.find(asker(request), gate_rule_id)


@router.patch(
    "/rules/{gate_rule_id}", response=GateRuleOut, operation_id="change_gate_rule", summary="Change a gate rule"
)
def change_gate_rule(request: HttpRequest, gate_rule_id: Text, body: GateRulePatch) -> GateRule:
    """Set what the body holds. 409 `stale` when somebody saved since the `version` you read."""
    return gate_rules.change(asker(request), gate_rule_id, body.version, **given(body))


@router.delete(
    "/rules/{gate_rule_id}", response={204: None}, operation_id="remove_gate_rule", summary="Remove a gate rule"
)
def remove_gate_rule(request: HttpRequest, gate_rule_id: Text) -> Status[None]:
    """It stops to hold at once."""
    gate_rules.remove(asker(request), gate_rule_id)
    return Status(204, None)
