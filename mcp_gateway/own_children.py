"""Copies of one MCP server, each for one agent alone: started when it is first wanted, ended when nobody wants it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agents.errors import LogosError
from mcp_gateway.supervisor import Supervisor

# What was handed out a moment ago is about to be asked something.
JUST_NOW_S = 2.0
ERRORS_SHOWN = 2_000


@dataclass(slots=True)
class _Copy:
    supervisor: Supervisor
    used: float

    @property
    def is_busy(self) -> bool:
        return self.supervisor.child is not None and bool(self.supervisor.child.calls)


class OwnChildren:
    """``make`` starts the copy of an agent. At most ``most`` run; over that the one idle longest goes."""

    def __init__(self, name: str, make: Callable[[str], Supervisor], *, idle_s: float, most: int) -> None:
        self._name, self._make, self._idle_s, self._most = name, make, idle_s, most
        self._copies: dict[str, _Copy] = {}
        self._room = asyncio.Lock()

    async def of(self, agent_id: str) -> Supervisor:
        """The agent's own copy, perhaps still starting. Raises LogosError(reason="mcp_unavailable") when all are busy."""
        now = asyncio.get_running_loop().time()
        if (found := self._copies.get(agent_id)) is not None:
            found.used = now
            return found.supervisor
        async with self._room:
            if agent_id not in self._copies:
                if len(self._copies) >= self._most:
                    await self._end(self._idle_longest())
                self._copies[agent_id] = _Copy(self._make(agent_id), now)
            return self._copies[agent_id].supervisor

    def get(self, agent_id: str) -> Supervisor | None:
        """The agent's own copy, if it has one."""
        found = self._copies.get(agent_id)
        return found.supervisor if found is not None else None

    async def sweep(self, may_use: Callable[[str], bool]) -> list[str]:
        """End the copies of agents that have not used them for a while, or may not any more; whose they were."""
        now, over = asyncio.get_running_loop().time(), []
        for agent_id, copy in list(self._copies.items()):
            if copy.is_busy:
                copy.used = now
            if not may_use(agent_id) or now - copy.used >= self._idle_s:
                over.append(agent_id)
        await asyncio.gather(*(self._end(agent_id) for agent_id in over))
        return over

    async def close(self) -> None:
        """End all of them."""
        await asyncio.gather(*(self._end(agent_id) for agent_id in list(self._copies)), return_exceptions=True)

    def health(self) -> list[dict[str, Any]]:
        """How each is, as it is written down."""
        return [
            {
                "agent": agent_id,
                "state": copy.supervisor.state,
                "reason": copy.supervisor.reason[:500],
                "starts": copy.supervisor.starts,
                "errors": "\n".join(copy.supervisor.errors)[-ERRORS_SHOWN:],
            }
            for agent_id, copy in sorted(self._copies.items())
        ]

    def __len__(self) -> int:
        return len(self._copies)

    def _idle_longest(self) -> str:
        now = asyncio.get_running_loop().time()
        idle = [each for each in self._copies.items() if not each[1].is_busy and now - each[1].used >= JUST_NOW_S]
        if not idle:
            raise LogosError(
                f"All {self._most} copies of the MCP server {self._name} are in use by other agents.",
                reason="mcp_unavailable",
                action="Try again in a moment, or ask whoever looks after it for more of them.",
                permanent=False,
            )
        return min(idle, key=lambda each: each[1].used)[0]

    async def _end(self, agent_id: str) -> None:
        copy = self._copies.pop(agent_id, None)
        if copy is not None:
            await copy.supervisor.stop()
