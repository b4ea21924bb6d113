"""Makes halts true in one engine: looks several times a second, cuts what goes on, and says what it did."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from agents import halting
from agents.halts import Halts
from runs import held
from runs.templatetags.run_format import plural
from sandboxes.halts import HaltWatch, refusal
from sandboxes.inference.lanes import Lanes
from sandboxes.residents import Residents

logger = logging.getLogger(__name__)

# Together with one look at the database well below the second in which a halt has to bite.
LOOK_S = 0.3


class HaltKeeper:
    """Used on the engine's event loop. ``heard`` is told the runs that were asked to stop."""

    def __init__(
        self,
        owner: str,
        watch: HaltWatch,
        lanes: Lanes,
        residents: Residents,
        db: Callable[..., Awaitable[Any]],
        heard: Callable[[str], None],
    ) -> None:
        self._owner, self._watch, self._lanes, self._residents = owner, watch, lanes, residents
        self._db, self._heard = db, heard
        self._bell = asyncio.Event()

    async def keep(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()

        def ring() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._bell.set)

        halting.wake.append(ring)
        had_any = False
        try:
            while True:
                try:
                    halts = await self._watch.look()
                    if halts:
                        await self.enforce(halts)
                    elif had_any:  # queued runs need not wait for the engine's next look
                        self._heard("")
                    had_any = bool(halts)
                except Exception:
                    logger.exception("A halt could not be made true; trying again")
                self._bell.clear()
                try:
                    async with asyncio.timeout(LOOK_S):
                        await self._bell.wait()
                except TimeoutError:
                    pass
        finally:
            halting.wake.remove(ring)

    async def enforce(self, halts: Halts) -> None:
        """Cut model calls and connections first, then write down what was asked and done."""
        calls, connections, served = self._cut_calls(halts), 0, []
        for resident in list(self._residents.served().values()):
            if resident.proxy is not None:
                connections += await resident.proxy.decide_again()
        for agent_id, resident in self._residents.served().items():
            persons = self._lanes.persons_of(resident.running.sandbox_id)
            if refusal(halts, agent_id, persons, self._watch.servers):
                served.append(resident.running.sandbox_id)
        done = f"refuses new work; cut {plural(calls, 'model call')} and {plural(connections, 'connection')}"
        for run_id in await self._db(held.enforce, self._owner, served, done):
            self._heard(run_id)

    def _cut_calls(self, halts: Halts) -> int:
        cut = 0
        for lease in self._lanes.leases():
            if lease.waiting and refusal(halts, lease.agent_id, (lease.person_id,), self._watch.servers):
                for patience in list(lease.waiting):
                    patience.give_up("halted")
                    cut += 1
        return cut
