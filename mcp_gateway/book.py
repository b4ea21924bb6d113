"""Who may reach which server right now, in memory: read from the rows as a whole, asked at every call without them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mcp_gateway.blotting import Blot
from mcp_gateway.sampling.bounds import Sampling
from sandboxes.tool_server.deciding import Rule


@dataclass(frozen=True, slots=True)
class Caller:
    """An agent at the door, and how it was recognised: "token", or "socket" for its own sandbox."""

    agent_id: str
    name: str = ""
    via: str = "token"
    token_id: int = 0
    sandbox_id: str = ""
    # Hides the agent's own secrets in what it is told; None where it has none.
    blot: Blot | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Served:
    """A server as agents meet it."""

    id: str
    name: str
    description: str = ""
    category: str = ""
    include: frozenset[str] = frozenset()
    exclude: frozenset[str] = frozenset()
    asks_caller: bool = False
    timeout_s: float = 120.0
    # What was accepted of its tools, with digests; None where nothing is pinned.
    pins: Mapping[str, tuple[str, Mapping[str, Any]]] | None = None
    # What becomes of calls of its tools where no rule says otherwise.
    calls: str = "allow"
    # How long what it answers, and what it is sent, may be.
    max_result: int = 1024 * 1024
    max_argument: int = 1024 * 1024
    # Which model it may ask, and how; None: none.
    sampling: Sampling | None = None
    # Each agent is served by a copy of its own.
    has_copies: bool = False
    # What becomes of its resources: "pinned", "open" or "off".
    resources: str = "pinned"

    def shows(self, tool: str) -> bool:
        """May agents see and call a tool of this name?"""
        return tool not in self.exclude and (not self.include or tool in self.include)

    def passes(self, name: str, marks: Mapping[str, str]) -> bool:
        """Was what is pinned under this name accepted as the server offers it now?"""
        pin = self.pins.get(name) if self.pins is not None else None
        return self.pins is None or (pin is not None and pin[0] == marks.get(name))

    def shown(self, tools: Iterable[Mapping[str, Any]], marks: Mapping[str, str]) -> list[dict[str, Any]]:
        """Of the tools that a server offers now, by their digests, those that agents see: as they were accepted."""
        found = []
        for tool in tools:
            name = tool["name"]
            if not self.shows(name):
                continue
            if self.pins is None:
                found.append(dict(tool))
            elif (pin := self.pins.get(name)) is not None and pin[0] == marks.get(name):
                found.append(dict(pin[1]))
        return found


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token that is not revoked."""

    id: int
    agent_id: str
    ends: float | None = None


@dataclass(frozen=True, slots=True)
class Book:
    """One reading of the rows. ``grants`` holds until when (epoch seconds, None for no end) by agent and server; ``sandboxes`` whose they are."""

    servers: Mapping[str, Served] = field(default_factory=dict)
    agents: Mapping[str, str] = field(default_factory=dict)
    tokens: Mapping[str, Token] = field(default_factory=dict)
    grants: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    sandboxes: Mapping[str, str] = field(default_factory=dict)
    # The rules about calls: of one agent by its id, of all by "".
    rules: Mapping[str, Sequence[Rule]] = field(default_factory=dict)
    # What hides the secrets of an agent, where it has some.
    blots: Mapping[str, Blot] = field(default_factory=dict, repr=False)

    def rules_for(self, agent_id: str) -> Sequence[Rule]:
        """Every rule that may be about a call of this agent."""
        own = self.rules.get(agent_id, ())
        return (*self.rules.get("", ()), *own) if own else self.rules.get("", ())

    def by_token(self, secret: str) -> Caller | None:
        """Whose live token this is. It is looked up by its digest, so comparing takes no longer for a near miss."""
        token = self.tokens.get(digest(secret))
        if token is None or token.agent_id not in self.agents or _is_over(token.ends):
            return None
        blot = self.blots.get(token.agent_id)
        return Caller(token.agent_id, self.agents[token.agent_id], "token", token.id, blot=blot)

    def by_sandbox(self, sandbox_id: str) -> Caller | None:
        """The agent whose own sandbox asks; None when it is not in use any more."""
        agent_id = self.sandboxes.get(sandbox_id, "")
        if agent_id not in self.agents:
            return None
        blot = self.blots.get(agent_id)
        return Caller(agent_id, self.agents[agent_id], "socket", sandbox_id=sandbox_id, blot=blot)

    def lasts(self, caller: Caller) -> float | None:
        """For how many seconds this caller is still let in, by what is known now; None for no end, 0 for not any more."""
        if caller.agent_id not in self.agents:
            return 0.0
        if caller.via != "token":
            return None if self.sandboxes.get(caller.sandbox_id) == caller.agent_id else 0.0
        token = next((each for each in self.tokens.values() if each.id == caller.token_id), None)
        if token is None:
            return 0.0
        return None if token.ends is None else max(0.0, token.ends - time.time())

    def reach(self, agent_id: str, name: str) -> Served | None:
        """The server of this name, if the agent has access to it now."""
        server = self.servers.get(name)
        held = self.grants.get(agent_id, {})
        return server if server is not None and server.id in held and not _is_over(held[server.id]) else None

    def may_use(self, agent_id: str, server_id: str) -> bool:
        """Is there access of this agent to a server, and both?"""
        held = self.grants.get(agent_id, {})
        return agent_id in self.agents and server_id in held and not _is_over(held[server_id])

    def reached(self, agent_id: str) -> list[Served]:
        """Every server the agent has access to now, by name."""
        return [server for name in sorted(self.servers) if (server := self.reach(agent_id, name)) is not None]


def digest(secret: str) -> str:
    """What is stored of a token: it has 256 random bits, so a plain fast hash cannot be searched."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _is_over(ends: Any) -> bool:
    return ends is not None and ends <= time.time()
