"""What becomes of calls of a server's tools, for every agent or one, and "ask every time" as one rule of the one table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import QuerySet

from agents import permissions
from agents.errors import Conflict, NotFound
from agents.models import Agent, User
from mcp_gateway import categories
from mcp_gateway.models import McpPin, McpServer
from sandboxes.tool_server import outside, overview, rules
from sandboxes.tool_server.models import Layer, ToolRule
from sandboxes.tool_server.overview import Standing
from sandboxes.tool_server.tiers import Tier


@dataclass(frozen=True, slots=True)
class Ruled:
    """A tool of a server: how its calls stand, and the rule for exactly this tool that can be changed with a click."""

    standing: Standing
    rule: ToolRule | None

    @property
    def is_asked(self) -> bool:
        return self.rule is not None and self.rule.tier == Tier.ASK

    @property
    def version(self) -> int:
        return self.rule.version if self.rule else 0


def of(server: McpServer, tools: Iterable[str], agent: Agent | None) -> dict[str, Ruled]:
    """Each of these tools, for ``agent`` or, with None, for agents without rules of their own; in three queries."""
    usual = Tier(categories.calls_of(server))
    held = rules.of(agent.pk if agent else "")
    exact = {rule.tool: rule for rule in _exact(server, agent)}
    names = {tool: outside.name_of(server.name, tool) for tool in tools}
    return {
        tool: Ruled(overview.standing(outside.tool(name, usual), held), exact.get(name)) for tool, name in names.items()
    }


def askers(user: User) -> list[tuple[str, str]]:
    """Agents whose rules this person makes, by name."""
    rows = permissions.visible(user, Agent.objects.alive().filter(archived_at=None), "tool.rules")
    return list(rows.order_by("name").values_list("pk", "name")[:200])


def ask(user: User, server: McpServer, tool: str, agent: Agent | None, version: int) -> ToolRule:
    """Every call of the tool waits for a person from now on. ``version`` is what was read of the rule, 0 for none.
    Raises NotFound for a tool the server does not have, Stale, and what ``rules.put`` raises."""
    if not McpPin.objects.filter(server=server, tool=tool).exists():
        raise NotFound("Tool")
    name = outside.name_of(server.name, tool)
    kept = _exact(server, agent).filter(tool=name).first()
    return rules.put(
        user, agent, tool=name, tier=Tier.ASK, layer=_layer(agent), version=version,
        per_minute=kept.per_minute if kept else None, per_hour=kept.per_hour if kept else None,
        note=kept.note if kept else "",
    )  # fmt: skip


def let_go(user: User, server: McpServer, tool: str, agent: Agent | None, version: int) -> None:
    """Take that rule away again; what other rules and the category say holds. Conflict when it is gone already."""
    rule = _exact(server, agent).filter(tool=outside.name_of(server.name, tool)).first()
    if rule is None:
        raise Conflict("This rule is gone already.", reason="stale", action="Look at the tools again.")
    rules.remove(user, rule, version)


def _exact(server: McpServer, agent: Agent | None) -> QuerySet[ToolRule]:
    rows = rules.for_all() if agent is None else rules.rows_of(agent)
    return rows.filter(layer=_layer(agent), condition="", tool__startswith=outside.name_of(server.name, ""))


def _layer(agent: Agent | None) -> str:
    return Layer.SITE if agent is None else Layer.AGENT
