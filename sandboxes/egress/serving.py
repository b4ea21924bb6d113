"""The egress proxies of the sandboxes an engine serves: whose rules decide, which run it was, where decisions go."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agents.reach import Reach
from sandboxes.driver import Attachment
from sandboxes.egress import addresses, proxy
from sandboxes.egress.proxy import Decision, EgressProxy
from sandboxes.egress.reaches import Reaches
from sandboxes.egress.rows import Noted, store
from sandboxes.halts import HaltWatch
from sandboxes.inference.lanes import Lanes
from sandboxes.inference.meter import Meter

# What is told to the run it belongs to: the run's id, and what was decided.
Told = Callable[[str, Decision], None]


@dataclass(eq=False, slots=True)
class Served:
    """One sandbox's proxy while it is served."""

    agent_id: str
    proxy: EgressProxy


class Egress:
    """Makes a proxy for each sandbox. Used on one event loop."""

    def __init__(
        self,
        db: Callable[..., Awaitable[Any]],
        write: Callable[..., Awaitable[Any]],
        lanes: Lanes,
        tell: Told,
        halts: HaltWatch | None = None,
    ) -> None:
        self._lanes, self._tell, self._write_db = lanes, tell, write
        self._halts = halts or HaltWatch(db)
        self.reaches = Reaches(db)
        self.meter: Meter[Noted] = Meter(self._write, what="egress decisions")
        # Where names lead; tests have no internet.
        self.lookup, self.connect = addresses.system_lookup, proxy.connect_to

    async def serve(
        self, agent_id: str, sandbox_id: str, attachment: Attachment, listener: socket.socket
    ) -> EgressProxy:
        """The proxy of this sandbox, accepting on the listener that was bound inside it."""

        async def reach() -> Reach:
            if held := await self._halts.refusal(agent_id, self._lanes.persons_of(sandbox_id)):
                return Reach((), closed=held.message)
            return await self.reaches.of(agent_id)

        runs: dict[str, str] = {}  # of open connections: the run that went on when it was decided

        def note(decision: Decision) -> None:
            if (run_id := runs.pop(decision.id, None)) is None:
                run_id = self._run_of(sandbox_id)
                self._tell(run_id, decision)
            if not decision.is_over:
                runs[decision.id] = run_id
            self.meter.add(Noted(agent_id, run_id, decision, datetime.now(UTC)))

        made = EgressProxy(reach, note, attachment, lookup=self.lookup, connect=self.connect)
        await made.serve(listener)
        return made

    async def close(self) -> None:
        """Write what waits."""
        await self.meter.close(timeout_s=2)

    def _run_of(self, sandbox_id: str) -> str:
        """The one run that goes on in the sandbox; "" for none, and for several, because nobody can tell them apart."""
        going = self._lanes.runs_of(sandbox_id)
        return going[0] if len(going) == 1 else ""

    async def _write(self, noted: list[Noted]) -> None:
        await self._write_db(store, noted)
