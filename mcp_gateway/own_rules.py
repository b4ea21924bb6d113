"""The tools of Logos itself under the one table of rules: ``mcp:logos.send_message``, and all of them as ``mcp:logos.*``.

Rules for ``*`` and ``mcp:*`` are about the sandbox and about servers; asking for access or a person must not end with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agents.models import User
from mcp_gateway.book import Served
from sandboxes.tool_server import deciding, outside
from sandboxes.tool_server.deciding import Rule
from sandboxes.tool_server.tiers import Tier

# What calls of tools of ours are recorded and ruled under; no server can be called so.
OURS = "logos"
SERVED = Served("", OURS)


def about(rules: Iterable[Rule]) -> list[Rule]:
    """Of an agent's rules, those that name tools of ours."""
    return [rule for rule in rules if rule.tool.startswith(outside.name_of(OURS, ""))]


def families(user: User) -> list[str]:
    """What a form of rules offers of them."""
    from mcp_gateway.hub_door import OWN_TOOLS

    return [outside.name_of(OURS, name) for name in ("*", *(tool["name"] for tool in OWN_TOOLS))]


def offered(tools: Sequence[Mapping[str, Any]], rules: Sequence[Rule]) -> list[Mapping[str, Any]]:
    """Without those that a rule switches off for good."""
    whole = [rule for rule in about(rules) if not rule.condition]
    return [tool for tool in tools if not whole or _tier(tool["name"], whole) != Tier.BLOCK]


def _tier(name: str, rules: Sequence[Rule]) -> Tier:
    return deciding.decide(outside.tool(outside.name_of(OURS, name)), [], rules).tier
