"""What agents may reach, at hand: read from their rows, believed for half a second, read again only when it changed.

A change made in this process counts at once (``changed``), one made by another process with the next look.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from agents import reaching
from agents.models import Agent
from agents.reach import Reach

logger = logging.getLogger(__name__)

BELIEVED_S = 0.5
UNREADABLE = "The rules of this agent cannot be read right now, so nothing is let through."

_changes = itertools.count(1)
_last_change = 0


def changed(**signal: Any) -> None:
    """Receiver: rows that rules are made of were written. Counts once that is committed."""
    transaction.on_commit(_count)


def _count() -> None:
    global _last_change
    _last_change = next(_changes)


@dataclass(slots=True)
class _Known:
    reach: Reach
    version: tuple[object, ...]
    at: float = 0.0
    change: int = -1
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Reaches:
    """The rules of every agent served here. Used on one event loop; ``db`` runs a function in a thread."""

    def __init__(self, db: Callable[..., Awaitable[Any]]) -> None:
        self._db = db
        self._known: dict[str, _Known] = {}

    async def of(self, agent_id: str) -> Reach:
        """What the agent may reach, at most half a second old. Closed when that cannot be read."""
        known = self._known.setdefault(agent_id, _Known(Reach((), closed=UNREADABLE), ()))
        if not self._is_fresh(known):
            async with known.lock:
                if not self._is_fresh(known):
                    await self._read(agent_id, known)
        return known.reach

    def forget(self, agent_id: str) -> None:
        """Nobody asks for it any more."""
        self._known.pop(agent_id, None)

    @staticmethod
    def _is_fresh(known: _Known) -> bool:
        return known.change == _last_change and asyncio.get_running_loop().time() - known.at < BELIEVED_S

    async def _read(self, agent_id: str, known: _Known) -> None:
        change, now = _last_change, asyncio.get_running_loop().time()
        try:
            found = await self._db(_read, agent_id, known.version)
            if found is not None:
                known.reach, known.version = found
        except Exception:
            logger.exception("The rules of %s cannot be read", agent_id)
            known.reach, known.version = Reach((), closed=UNREADABLE), ()
        known.at, known.change = now, change


def _read(agent_id: str, version: tuple[object, ...]) -> tuple[Reach, tuple[object, ...]] | None:
    """The rules and their version; None while it is still ``version``."""
    with transaction.atomic():
        found = ("read", *reaching.version_of(agent_id))
        if found == version:
            return None
        agent = Agent.objects.filter(pk=agent_id).prefetch_related(*reaching.PARTS).first()
        return (reaching.reach_of(agent) if agent else Reach(())), found
