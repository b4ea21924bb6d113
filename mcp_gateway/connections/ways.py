"""The ways out of the sandboxes of MCP servers that this process runs: what a stop closes, and where what was decided goes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from agents.halts import Halts, Held
from mcp_gateway.connections.rows import Noted, store
from mcp_gateway.connections.way import Way
from sandboxes.egress.proxy import Decision, EgressProxy
from sandboxes.halts import HaltWatch
from sandboxes.inference.meter import Meter

Db = Callable[..., Awaitable[Any]]


class Ways:
    """Of all sandboxes of one process. ``db`` runs a function with the database."""

    def __init__(self, db: Db, halts: HaltWatch) -> None:
        self._db, self._halts = db, halts
        self._going: set[EgressProxy] = set()
        self._meter: Meter[Noted] = Meter(self._write, what="connections of MCP servers")

    def of(self, server_id: str, name: str, agent_id: str = "") -> Way:
        """For a server, or for an agent's own copy of it."""

        async def closed() -> str:
            held = stopped(await self._halts.now(), agent_id, (*self._halts.servers, name))
            return held.sentence if held is not None else ""

        def note(decision: Decision) -> None:
            self._meter.add(Noted(server_id, name, agent_id, decision, datetime.now(UTC)))

        return Way(closed, note, self._going)

    async def cut(self) -> int:
        """Decide anew about everything that goes on; how many connections ended."""
        return sum([await each.decide_again() for each in list(self._going)])

    async def close(self) -> None:
        """Write what waits."""
        await self._meter.close(timeout_s=2)

    async def _write(self, noted: list[Noted]) -> None:
        await self._db(store, noted)


def stopped(halts: Halts, agent_id: str, servers: tuple[str, ...]) -> Held | None:
    """The halt because of which a server's sandbox is closed. One that serves everybody opens as soon as chosen agents
    may work; the copy of an agent with its agent."""
    if agent_id:
        return halts.of_work(agent_id, None, servers)
    return next((each for each in halts if each.concerns(servers=servers) and each.stage != "chosen"), None)
