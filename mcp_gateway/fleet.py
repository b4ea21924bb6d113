"""Every MCP server this process runs: started, changed and ended as the rows say."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from mcp_gateway.jsonrpc import Message
from mcp_gateway.own_children import OwnChildren
from mcp_gateway.peers import Launchable, Peer
from mcp_gateway.supervisor import Supervisor, Times

logger = logging.getLogger(__name__)

# What servers say on their error output is written down this often.
ERRORS_S = 2.0
# How long a copy waits for the server itself.
READY_S = 30.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A server that should run: ``identity`` is everything that needs a new start when it changes."""

    id: str
    name: str
    identity: str
    times: Times
    restarts_asked: int = 0
    # Each agent has a copy of its own: for how long an idle one stays, and how many there are at most. 0: there are none.
    copies: int = 0
    idle_s: float = 600.0
    # What besides tools and prompts is pinned of it.
    pins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Health:
    """What is written down about a server."""

    id: str
    state: str
    reason: str
    starts: int
    protocol: str
    title: str
    tools: tuple[dict[str, Any], ...]
    errors: str
    restarts_done: int
    walls: str = ""
    children: tuple[dict[str, Any], ...] = ()


class Fleet:
    """``launch`` resolves what to start, anew at every start, for everybody or for one agent alone."""

    def __init__(
        self,
        launch: Callable[[str, str], Awaitable[Launchable]],
        *,
        said: Callable[[Supervisor, Message, str], None] = lambda supervisor, message, id: None,
        asked: Callable[[Supervisor, Peer, Message, str], bool] = lambda supervisor, child, message, id: False,
        offers: Callable[[Supervisor, str], Awaitable[None]],
    ) -> None:
        self._launch, self._said, self._asked, self._offers = launch, said, asked, offers
        self._running: dict[str, tuple[Wanted, Supervisor]] = {}
        self._copies: dict[str, OwnChildren] = {}
        self._changed: set[str] = set()
        self._heard: dict[str, tuple[int, int]] = {}
        self._listen_at = 0.0
        self.moved = asyncio.Event()

    def get(self, server_id: str) -> Supervisor | None:
        """The supervisor of a server that should run."""
        found = self._running.get(server_id)
        return found[1] if found else None

    def met(self, server_id: str, agent_id: str) -> Supervisor | None:
        """Where it stands what the agent can do there: its own copy, once that has said so, else that of everybody."""
        copies = self._copies.get(server_id)
        found = copies.get(agent_id) if copies is not None else None
        return found if found is not None and found.known.era else self.get(server_id)

    async def own(self, server_id: str, agent_id: str) -> Supervisor | None:
        """The supervisor of the agent's own copy, where there are such; else that of everybody. Raises
        LogosError(reason="mcp_unavailable")."""
        supervisor, copies = self.get(server_id), self._copies.get(server_id)
        if supervisor is None or copies is None:
            return supervisor
        if supervisor.state != "ready":
            await supervisor.ready(READY_S)  # what it offers is accepted there first
        before = len(copies)
        found = await copies.of(agent_id)
        if len(copies) != before:
            self._note(server_id)
        return found

    async def sweep(self, may_use: Callable[[str, str], bool]) -> None:
        """End copies that nobody uses, or whose agents may not use the server any more; see who has said something."""
        now = asyncio.get_running_loop().time()
        if now >= self._listen_at:
            self._listen_at = now + ERRORS_S
            for id, (_, supervisor) in self._running.items():
                said = (supervisor.starts, supervisor.errors.heard)
                if self._heard.get(id, said) != said:
                    self._note(id)
                self._heard[id] = said
        for server_id, copies in list(self._copies.items()):
            if await copies.sweep(lambda agent_id, server_id=server_id: may_use(server_id, agent_id)):  # type: ignore[misc]
                self._note(server_id)

    async def sync(self, wanted: Iterable[Wanted]) -> None:
        """Make what runs what is wanted; all at the same time, so that one bad server holds up nobody."""
        by_id = {each.id: each for each in wanted}
        ending = [id for id in self._running if id not in by_id]
        stories = [self._end(id) for id in ending]
        for each in by_id.values():
            known = self._running.get(each.id)
            if known is None:
                self._begin(each)
            elif replace(known[0], restarts_asked=0) != replace(each, restarts_asked=0):
                stories.append(self._replace(each))
            elif known[0].restarts_asked < each.restarts_asked:
                self._running[each.id] = (each, known[1])
                stories.append(self._restart(each.id, known[1]))
        for result in await asyncio.gather(*stories, return_exceptions=True):
            if isinstance(result, BaseException):
                logger.error("An MCP server could not be changed", exc_info=result)

    async def close(self) -> None:
        """End all of them."""
        await asyncio.gather(*(self._end(id) for id in list(self._running)), return_exceptions=True)

    def changes(self) -> list[Health]:
        """How those are whose state has changed since the last call."""
        self.moved.clear()
        changed, self._changed = self._changed, set()
        return [self._health(id) for id in sorted(changed) if id in self._running]

    def _begin(self, wanted: Wanted) -> None:
        self._running[wanted.id] = (wanted, self._started(wanted))
        if wanted.copies:
            self._copies[wanted.id] = OwnChildren(
                wanted.name, lambda agent: self._started(wanted, agent), idle_s=wanted.idle_s, most=wanted.copies
            )

    def _started(self, wanted: Wanted, agent_id: str = "") -> Supervisor:
        supervisor = Supervisor(
            wanted.name,
            lambda: self._launch(wanted.id, agent_id),
            wanted.times,
            agent_id=agent_id,
            pins=wanted.pins,
            changed=lambda supervisor: self._note(wanted.id),
            said=lambda supervisor, message: self._said(supervisor, message, wanted.id),
            asked=lambda supervisor, child, message: self._asked(supervisor, child, message, wanted.id),
            offers=lambda supervisor: self._offers(supervisor, wanted.id),
        )
        supervisor.start()
        return supervisor

    async def _restart(self, id: str, supervisor: Supervisor) -> None:
        if (copies := self._copies.get(id)) is not None:
            await copies.close()
        await supervisor.restart()

    async def _replace(self, wanted: Wanted) -> None:
        await self._end(wanted.id)
        self._begin(wanted)

    async def _end(self, id: str) -> None:
        found, copies = self._running.pop(id, None), self._copies.pop(id, None)
        self._heard.pop(id, None)
        if copies is not None:
            await copies.close()
        if found is not None:
            await found[1].stop()

    def _note(self, id: str) -> None:
        self._changed.add(id)
        self.moved.set()

    def _health(self, id: str) -> Health:
        wanted, supervisor = self._running[id]
        known = supervisor.known
        title = known.info.get("title") or known.info.get("name") or ""
        tools = tuple(
            {"name": each["name"], "description": str(each.get("description") or "")[:2000]} for each in known.tools
        )
        return Health(
            id,
            supervisor.state,
            supervisor.reason[:500],
            supervisor.starts,
            known.protocol,
            str(title)[:200],
            tools,
            "\n".join(supervisor.errors)[-20_000:],
            wanted.restarts_asked,
            " ".join(supervisor.child.walls)[:200] if supervisor.child else "",
            tuple(copies.health()) if (copies := self._copies.get(id)) is not None else (),
        )
