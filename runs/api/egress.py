"""/api/agents/…/egress and /api/policies/…/unused: what agents asked the network for, and rules nobody needed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import agent_pages, permissions
from agents.api.asking import asker
from agents.api.policies import MAX_PRESETS, RULE, PolicyOut, RuleOut
from agents.api.shapes import NEXT, PageQuery, Text, Version, page
from agents.models import Agent, Policy
from runs import reach
from sandboxes.egress import usage

router = Router(tags=["Egress"])

EXAMPLE: dict[str, Any] = {
    "id": "conn_01jd9z7c3f5h7k9n1q3s5v7x9z",
    "agent_id": "agent_01jd9z6w3v8f4k2m7q5t0x1y9c",
    "run_id": "run_01jd9z7c3f5h7k9n1q3s5v7x9z",
    "binary": "/usr/bin/curl",
    "sha256": "5b1e…",
    "method": "CONNECT",
    "host": "pypi.org",
    "port": 443,
    "address": "151.101.0.223",
    "allowed": True,
    "rule": "policy_01jd9z7c3f5h7k9n1q3s5v7x9z/packages",
    "reason": "The rule packages allows it.",
    "sent": 1840,
    "received": 91_233,
    "duration_ms": 412.5,
    "at": "2026-11-20T09:12:44.120Z",
}


class DecisionOut(Schema):
    """One connection a sandbox asked for. `run_id` is empty when it was not certain which run it was; `duration_ms` is
    null while it goes on, and stays so when Logos was killed before it ended."""

    id: str
    agent_id: str
    run_id: str
    binary: str
    sha256: str
    method: str
    host: str
    port: int
    address: str
    allowed: bool
    rule: str
    reason: str
    sent: int
    received: int
    duration_ms: float | None
    at: datetime

    model_config = {"json_schema_extra": {"example": EXAMPLE}}


class DecisionPage(Schema):
    """Decisions, the newest first."""

    items: list[DecisionOut]
    next: str | None = NEXT


class DecisionQuery(PageQuery):
    """Which decisions."""

    allowed: bool | None = Field(None, description="Only what was let through, or only what was refused.")
    host: Text = Field("", max_length=253, description="Only this host.")
    run: Text = Field("", max_length=40, description="Only of this run.")


class UnusedQuery(Schema):
    """For how long nothing may have matched."""

    days: int = Field(usage.DEFAULT_DAYS, ge=1, le=3_650)


class UnusedOut(Schema):
    """Rules that nothing matched. `is_known` is false while records do not go back that far."""

    days: int
    is_known: bool
    unused: list[RuleOut]
    presets: list[str] = Field(description="Presets of which nothing matched any rule, by id.")

    @staticmethod
    def resolve_presets(found: usage.Usage) -> list[str]:
        return [preset.pk for preset in found.presets]

    model_config = {
        "json_schema_extra": {"example": {"days": 14, "is_known": True, "unused": [RULE], "presets": ["slack"]}}
    }


class Pruning(Schema):
    """The unused rules to take out, by name, and presets, by id."""

    version: Version
    days: int = Field(usage.DEFAULT_DAYS, ge=1, le=3_650)
    names: list[Text] = Field([], max_length=1_000)
    preset_ids: list[Text] = Field([], max_length=MAX_PRESETS)

    model_config = {"json_schema_extra": {"example": {"version": 3, "days": 14, "names": ["packages"]}}}


@router.get(
    "/agents/{agent_id}/egress", response=DecisionPage, operation_id="list_egress", summary="What an agent asked for"
)
def list_egress(request: HttpRequest, agent_id: Text, query: Query[DecisionQuery]) -> dict[str, Any]:
    """All of it for who manages the agent, that of their own runs for others."""
    user = asker(request)
    agent: Agent = permissions.fetch(user, "agent.view", agent_pages.rows(), pk=agent_id)
    rows = reach.decisions(user, agent)
    if query.allowed is not None:
        rows = rows.filter(allowed=query.allowed)
    if query.host:
        rows = rows.filter(host=query.host)
    if query.run:
        rows = rows.filter(run_id=query.run)
    return page(rows, query)


@router.get(
    "/policies/{policy_id}/unused", response=UnusedOut, operation_id="list_unused_rules", summary="Rules nobody needed"
)
def list_unused_rules(request: HttpRequest, policy_id: Text, query: Query[UnusedQuery]) -> usage.Usage:
    """Rules that stood in the policy for so many days and that no connection of any agent matched."""
    policy = permissions.fetch(asker(request), "policy.edit", Policy.objects.all(), pk=policy_id)
    return usage.unused(policy, query.days)


@router.post(
    "/policies/{policy_id}/prune", response=PolicyOut, operation_id="prune_policy", summary="Take out unused rules"
)
def prune_policy(request: HttpRequest, policy_id: Text, body: Pruning) -> Policy:
    """Only what is unused is taken out; the policy's history can put it back."""
    return usage.prune(asker(request), policy_id, body.version, body.names, body.days, body.preset_ids)
