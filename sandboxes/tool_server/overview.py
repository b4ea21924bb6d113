"""What people and programs are told of an agent's tools: each with the tier it has now, why, and how often it may run."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import QuerySet

from agents import permissions
from agents.errors import NotFound
from agents.models import Agent, User
from sandboxes.tool_server import catalogue, deciding, rules
from sandboxes.tool_server.catalogue import Rates, Tool
from sandboxes.tool_server.deciding import Rule
from sandboxes.tool_server.models import ToolCall, ToolRule


@dataclass(frozen=True, slots=True)
class Standing:
    """One tool as it stands for an agent. ``own`` is what the agent's own rule for exactly this tool says, "" without
    one; ``exceptions`` counts the rules with a condition, ``is_ruled``: a rule says so, not the tool's own default."""

    tool: Tool
    tier: str
    reason: str
    rates: Rates
    own: str
    site: str
    exceptions: int
    is_ruled: bool


def standings(agent: Agent | None) -> list[Standing]:
    """Every tool, for an agent or, with None, for agents without rules of their own. One query."""
    held = rules.of(agent.pk if agent else "")
    return [standing(tool, held) for tool in catalogue.TOOLS]


def standing(tool: Tool, held: list[Rule]) -> Standing:
    """One tool under these rules."""
    plain = [rule for rule in held if not rule.condition]
    verdict = deciding.decide(tool, [], plain)
    exact = [rule for rule in plain if rule.tool == tool.name]
    return Standing(
        tool=tool,
        tier=verdict.tier,
        reason=verdict.reason,
        rates=deciding.rates_of(tool, held),
        own=next((rule.tier for rule in exact if rule.layer == deciding.AGENT), ""),
        site=verdict.steps[0].tier,
        is_ruled=bool(verdict.rule),
        exceptions=sum(1 for rule in held if rule.condition and deciding.is_about(rule, tool)),
    )


def calls_of(user: User, agent: Agent) -> QuerySet[ToolCall]:
    """The calls of this agent's tools that the person may see."""
    seen = permissions.visible(user, ToolCall.objects.filter(agent=agent), "tool.view")
    return seen.select_related("caller")


def rule_for(user: User, agent: Agent | None, rule_id: str) -> ToolRule:
    """A rule somebody wants to change. NotFound for who may not see it."""
    rows = rules.for_all() if agent is None else rules.rows_of(agent)
    if agent is None:
        permissions.require(user, "tool.site")
    found = rows.filter(pk=rule_id).first()
    if found is None:
        raise NotFound("Rule")
    return found
