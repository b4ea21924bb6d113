"""Tools that lie outside the sandbox, those of MCP servers, as the rules and records of tools name them. Pure.

The tool ``create_issue`` of the server ``github`` is called ``mcp:github.create_issue`` here, all of that server
``mcp:github.*``, and those of every server ``mcp:*``. Rules may look at one thing of such a call: an argument by its name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from agents.models import User
from sandboxes.tool_server.catalogue import Rates, Tool
from sandboxes.tool_server.deciding import Thing
from sandboxes.tool_server.tiers import Tier

PREFIX, EVERY = "mcp:", "mcp:*"
# So many calls that only a rule limits them: how often is for whoever knows the server to say.
UNLIMITED = Rates(10**9, 10**9)
LONGEST = 170
_NAME = re.compile(r"mcp:(?:\*|[a-z0-9][a-z0-9-]{0,31}\.[^\x00-\x1f\x7f]{1,128})")

# What else this person can name in a rule; filled by the room above that knows the servers.
FAMILIES: list[Callable[[User], list[str]]] = []


def name_of(server: str, tool: str) -> str:
    """What rules and records call this tool."""
    return f"{PREFIX}{server}.{tool}"


def is_outside(name: str) -> bool:
    """Is this a name of such a tool, or of several?"""
    return name.startswith(PREFIX)


def is_name(name: str) -> bool:
    """Can a rule be about this?"""
    return len(name) <= LONGEST and _NAME.fullmatch(name) is not None


def tool(name: str, tier: Tier = Tier.ALLOW, title: str = "") -> Tool:
    """Such a tool as what decides takes one; ``tier`` is what becomes of its calls without a rule."""
    server, _, own = name.removeprefix(PREFIX).partition(".")
    return Tool(name, title or f"{own} of {server}", "", {}, tier, UNLIMITED)


def families(user: User) -> list[str]:
    """What a form offers besides the tools in the sandbox."""
    return [EVERY, *(name for listed in FAMILIES for name in listed(user))]


def things(arguments: Any) -> list[Thing]:
    """The arguments of a call as the one thing rules look at."""
    return [Thing("argument", json.dumps(arguments, sort_keys=True, ensure_ascii=False))]
