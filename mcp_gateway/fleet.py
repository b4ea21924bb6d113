"""Every MCP server this process runs: started, changed and ended as the rows say."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mcp_gateway.jsonrpc import Message
from mcp_gateway.peers import Launchable, Peer
from mcp_gateway.supervisor import Supervisor, Times

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A server that should run: ``identity`` is everything that needs a new start when it changes."""

    id: str
    name: str
    identity: str
    times: Times
    restarts_asked: int = 0


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


class Fleet:
    """``launch`` resolves what to start, anew at every start."""

    def __init__(
        self,
        launch: Callable[[str], Awaitable[Launchable]],
        *,
        said: Callable[[Supervisor, Message, str], None] = lambda supervisor, message, id: None,
        asked: Callable[[Supervisor, Peer, Message, str], bool] = lambda supervisor, child, message, id: False,
        offers: Callable[[Supervisor, str], Awaitable[None]],
    ) -> None:
        self._launch, self._said, self._asked, self._offers = launch, said, asked, offers
        self._running: dict[str, tuple[Wanted, Supervisor]] = {}
        self._changed: set[str] = set()
        self.moved = asyncio.Event()

    def get(self, server_id: str) -> Supervisor | None:
        """The supervisor of a server that should run."""
        found = self._running.get(server_id)
        return found[1] if found else None

    async def sync(self, wanted: Iterable[Wanted]) -> None:
        """Make what runs what is wanted; all at the same time, so that one bad server holds up nobody."""
        by_id = {each.id: each for each in wanted}
        ending = [id for id in self._running if id not in by_id]
        stories = [self._end(id) for id in ending]
        for each in by_id.values():
            known = self._running.get(each.id)
            if known is None:
                self._begin(each)
            elif (known[0].identity, known[0].name, known[0].times) != (each.identity, each.name, each.times):
                stories.append(self._replace(each))
            elif known[0].restarts_asked < each.restarts_asked:
                self._running[each.id] = (each, known[1])
                stories.append(known[1].restart())
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
        supervisor = Supervisor(
            wanted.name,
            lambda: self._launch(wanted.id),
            wanted.times,
            changed=lambda supervisor: self._note(wanted.id),
            said=lambda supervisor, message: self._said(supervisor, message, wanted.id),
            asked=lambda supervisor, child, message: self._asked(supervisor, child, message, wanted.id),
            offers=lambda supervisor: self._offers(supervisor, wanted.id),
        )
        self._running[wanted.id] = (wanted, supervisor)
        supervisor.start()

    async def _replace(self, wanted: Wanted) -> None:
        await self._end(wanted.id)
        self._begin(wanted)

    async def _end(self, id: str) -> None:
        found = self._running.pop(id, None)
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
        )
