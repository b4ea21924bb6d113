"""The tools of a server on its page: as agents get them, what becomes of their calls, and what waits to be looked at."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, QueryDict

from agents import diffing, permissions
from agents.errors import NotFound
from agents.invisible import spelled_out
from agents.models import Agent, User
from agents.numbers import whole
from agents.views import listing
from agents.views.listing import Filters
from mcp_gateway import pinning, tool_rules
from mcp_gateway import pins as pin_stories
from mcp_gateway.models import McpPin, McpServer, PinState
from sandboxes.tool_server.tiers import Tier

LOOKS = {Tier.ALLOW: "ok", Tier.NOTIFY: "running", Tier.ASK: "waiting", Tier.BLOCK: "blocked"}
SHOWN_TOOLS, SHOWN_WAITING, MOST_CHANGE = 25, 3, 3_000


def shown(request: HttpRequest, user: User, server: McpServer) -> dict[str, Any]:
    """A page of the tools that were accepted, each with what becomes of calls of every agent, or of the one chosen; and
    the first of those that wait."""
    agents = tool_rules.askers(user)
    chosen = (request.POST or request.GET).get("for", "")[:40]
    agent = _chosen(user, chosen)
    filters = Filters(request.GET, hint="Tool", keep=("for",))
    pins = McpPin.objects.filter(server=server)
    accepted = pin_stories.tools(pins.filter(state=PinState.ACCEPTED))
    waiting = list(pins.exclude(state=PinState.ACCEPTED).order_by("tool")[: SHOWN_WAITING + 1])
    page = listing.page(filters.search(accepted, "tool"), filters, "tool", SHOWN_TOOLS)
    ruled = tool_rules.of(server, [pin.tool for pin in page.items], agent)
    return {
        "filters": filters,
        "page": page,
        "tools": [_shown(pin, ruled[pin.tool]) for pin in page.items],
        "waiting": [_change(pin) for pin in waiting[:SHOWN_WAITING]],
        "more_waiting": len(waiting) > SHOWN_WAITING,
        "resources_wait": any(pin.tool.startswith(pinning.RESOURCE) for pin in waiting),
        "for_agent": agent,
        "askers": agents,
        "may_ask": permissions.may(user, "tool.site") if agent is None else True,
        "may_site": permissions.may(user, "tool.site"),
    }


def _chosen(user: User, agent_id: str) -> Agent | None:
    """The agent whose rules are meant; None: those of every agent."""
    return permissions.fetch(user, "tool.rules", Agent.objects.alive(), pk=agent_id) if agent_id else None


def _shown(pin: McpPin, ruled: tool_rules.Ruled) -> dict[str, Any]:
    standing, tier = ruled.standing, Tier(ruled.standing.tier)
    is_usual = tier == Tier.ALLOW and not (standing.is_ruled or standing.exceptions)
    return {
        "pin": pin,
        "ruled": ruled,
        "look": LOOKS[tier],
        "label": tier.label,
        "reason": "" if is_usual else f"{standing.reason}{_exceptions(standing.exceptions)}",
    }


def _exceptions(count: int) -> str:
    return f" {count} rule{'s' if count > 1 else ''} for some calls." if count else ""


def asked(user: User, server: McpServer, given: QueryDict) -> str:
    """Have a person asked before each call of a tool, or no longer; a sentence about what is true now."""
    agent = _chosen(user, given.get("for", "")[:40])
    whose = f"of {agent.name}" if agent else "of every agent"
    act, _, rest = given.get("rule", "").partition(" ")
    version, _, tool = rest.partition(" ")
    if act == "ask":
        tool_rules.ask(user, server, tool[:128], agent, whole(version) or 0)
        return f"Each call of {tool} {whose} waits for a person from now on."
    if act == "leave":
        tool_rules.let_go(user, server, tool[:128], agent, whole(version) or 0)
        return f"The rule for calls of {tool} {whose} is gone."
    raise NotFound("Rule")


def _change(pin: McpPin) -> dict[str, Any]:
    """What a tool was and what it is offered as, word by word."""
    before, after = (_words(each) for each in (pin.definition, pin.offered))
    return {"pin": pin, "pieces": diffing.words(before, after), "flags": pinning.flags(pin.offered)}


def _words(definition: dict[str, Any]) -> str:
    """A definition as people read it: the description first, then the rest, what nobody can see spelled out, long ones
    cut."""
    if not definition:
        return ""
    rest = {name: value for name, value in definition.items() if name not in ("name", "description")}
    text = f"{definition.get('description', '')}\n\n{json.dumps(rest, indent=1, ensure_ascii=False, sort_keys=True)}"
    text = spelled_out(text)
    return text if len(text) <= MOST_CHANGE else f"{text[:MOST_CHANGE]}\n… cut; the API shows all of it"
