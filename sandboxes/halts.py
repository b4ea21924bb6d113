"""What is stopped, at hand for the hot paths of one engine: believed for half a second, closed when it cannot be read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from agents import halting
from agents.halts import NOTHING, Halted, Halts, Held
from sandboxes.claimants import host

logger = logging.getLogger(__name__)

BELIEVED_S = 0.5
UNREADABLE = Halts((Held("", "everything", reason="what is stopped cannot be read right now"),))


class HaltWatch:
    """Used on one event loop; ``db`` runs a function in a thread. The engine's keeper refreshes it more often than it
    grows old, so that a model call or a connection waits for no database."""

    def __init__(self, db: Callable[..., Awaitable[Any]]) -> None:
        self._db = db
        self._halts, self._at = NOTHING, -BELIEVED_S
        self._lock = asyncio.Lock()
        # An MCP server's name, or this machine's: what a halt of a server may mean for what happens here.
        self.servers = (host(),)

    async def now(self) -> Halts:
        """What is stopped, at most half a second old."""
        if asyncio.get_running_loop().time() - self._at >= BELIEVED_S:
            async with self._lock:
                if asyncio.get_running_loop().time() - self._at >= BELIEVED_S:
                    await self.look()
        return self._halts

    async def look(self) -> Halts:
        """Read it now."""
        began = asyncio.get_running_loop().time()
        try:
            found = await self._db(halting.current)
        except Exception:
            logger.exception("What is stopped cannot be read, so everything is")
            found = UNREADABLE
        # As old as its question: a halt may have been committed while the answer was on its way.
        self._halts, self._at = found, began
        return found

    async def refusal(self, agent_id: str, persons: Iterable[int | None] = ()) -> Halted | None:
        """Why nothing of this agent may go out, for any of those who asked for it; None when it may for one of them."""
        return refusal(await self.now(), agent_id, persons, self.servers)


def refusal(halts: Halts, agent_id: str, persons: Iterable[int | None], servers: Iterable[str]) -> Halted | None:
    """The same of known halts."""
    if not halts:
        return None
    found = [halts.of_work(agent_id, person, servers) for person in persons or (None,)]
    held = found[0] if all(found) else None
    return Halted(held) if held is not None else None
