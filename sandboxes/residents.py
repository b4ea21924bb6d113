"""The sandboxes an engine is connected to: one attachment, one served router listener, one egress
proxy and one client for each.

Closing ends nothing inside: runs in progress go on, model calls made meanwhile wait in the listener's
backlog until an engine serves it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import socket
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from agents.errors import LogosError
from sandboxes import drivers, records, tasks
from sandboxes.driver import Attachment, LimitNotice, SandboxError
from sandboxes.egress.proxy import EgressProxy
from sandboxes.egress.serving import Egress
from sandboxes.hermes import gateway
from sandboxes.hermes.client import HermesClient
from sandboxes.hermes.configuration import EGRESS_PORT, ROUTER_PORT
from sandboxes.inference.lanes import Lanes
from sandboxes.inference.serve import PassedListeners
from sandboxes.lifecycle import Db, Progress, Running, answers, ensure_running, wanted_of, why_new_start

logger = logging.getLogger(__name__)

# How often a run that needs the sandbox started anew looks whether the others have ended.
OTHERS_S = 0.3

# How long a runtime with runs in it may take to answer on a busy machine.
PATIENCE_S = 30.0
# A sandbox that ends this soon after one of its limits was reached ended because of it.
JUST_NOW_S = 10.0


class Resident:
    """One sandbox this engine serves."""

    def __init__(self, running: Running, attachment: Attachment, client: HermesClient) -> None:
        self.running, self.attachment, self.client = running, attachment, client
        self.proxy: EgressProxy | None = None
        self.gone = asyncio.Event()
        self.since = time.time()
        self.last_notice: LimitNotice | None = None


class Residents:
    """Every sandbox of this engine, by agent. Used on one event loop."""

    def __init__(
        self,
        listeners: PassedListeners,
        lanes: Lanes,
        app_for: Callable[[str], Any],
        db: Db,
        egress: Egress,
        noticed: Callable[[str, LimitNotice], None] = lambda agent_id, notice: None,
    ) -> None:
        self._listeners, self._lanes, self._app_for, self._db = listeners, lanes, app_for, db
        self._egress, self._noticed = egress, noticed
        self._by_agent: dict[str, Resident] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._watchers: set[asyncio.Task[None]] = set()

    async def get(self, agent_id: str, progress: Progress) -> Resident:
        """The agent's sandbox, running, answering, and served by this engine's router.

        What is composed otherwise by now is started anew, but not under the runs that go on in it."""
        has_waited = False
        while why := await self._would_end_runs(agent_id):
            if not has_waited:
                has_waited = True
                have = "has" if why.startswith("Logos") else "have"
                progress(f"Waiting until the agent's other runs have ended, because {why} {have} changed")
            await asyncio.sleep(OTHERS_S)
        async with self._locks.setdefault(agent_id, asyncio.Lock()):
            running = await ensure_running(agent_id, progress, self._db, self._answers)
            known = self._known(agent_id, running.driver_state)
            if known is None:
                known = await self._move_in(agent_id, running)
            known.running = running
            return known

    async def _would_end_runs(self, agent_id: str) -> str:
        """What has changed so that it must be started anew, which would end the runs in it; "" when it need not."""
        known = self._by_agent.get(agent_id)
        if known is None or known.gone.is_set() or not self._lanes.has_runs(known.running.sandbox_id):
            return ""
        return await why_new_start(agent_id, self._db)

    def served(self) -> dict[str, Resident]:
        """The sandboxes that are served here now, by agent."""
        return {agent_id: each for agent_id, each in self._by_agent.items() if not each.gone.is_set()}

    async def reattach(self, agent_id: str) -> Resident | None:
        """The agent's sandbox if it still runs and answers; None when it does not. Starts nothing."""
        async with self._locks.setdefault(agent_id, asyncio.Lock()):
            if (known := self._by_agent.get(agent_id)) and not known.gone.is_set():
                return known
            wanted = await wanted_of(agent_id, self._db)
            running = Running(
                wanted.sandbox_id,
                wanted.driver,
                wanted.driver_state,
                wanted.layers,
                wanted.api_key,
                wanted.known_values,
            )
            if not wanted.driver_state or await drivers.get(wanted.driver).poll(wanted.driver_state) is not None:
                return None
            try:
                return await self._move_in(agent_id, running)
            except SandboxError:
                logger.warning("The sandbox could not be attached to", exc_info=True)
                return None

    async def adopt(self) -> None:
        """Serve sandboxes that another process started, and let their runtimes load what a first run loads."""
        for agent_id in await self._db(records.running):
            known = self._by_agent.get(agent_id)
            if (known is None or known.gone.is_set()) and (resident := await self.reattach(agent_id)):
                self._in_background(gateway.warm_up(resident.attachment, resident.running.api_key), "warm up")

    async def close(self) -> None:
        """Give every sandbox's descriptors back."""
        for task in self._watchers:
            task.cancel()
        await asyncio.gather(*[self._leave(agent_id) for agent_id in list(self._by_agent)], return_exceptions=True)

    def _known(self, agent_id: str, driver_state: Mapping[str, Any]) -> Resident | None:
        known = self._by_agent.get(agent_id)
        return known if known and not known.gone.is_set() and known.running.driver_state == driver_state else None

    async def _answers(self, wanted: records.Wanted) -> bool:
        """Ask over the connection that is open already, if there is one."""
        known = self._known(wanted.agent_id, wanted.driver_state)
        if known is None:
            return await answers(wanted)
        try:
            # Starting it anew would end the runs that go on in it: with any, a late answer is waited for.
            await known.client.check_key(PATIENCE_S if self._lanes.has_runs(known.running.sandbox_id) else 5.0)
        except LogosError as error:
            logger.info("The runtime does not answer: %s %s", error.message, error.detail)
            return False
        return True

    async def _move_in(self, agent_id: str, running: Running) -> Resident:
        await self._leave(agent_id)
        attachment = await drivers.get(running.driver).attach(running.driver_state)
        try:
            sockets = await attachment.listeners()
            await self._listeners.add(running.sandbox_id, sockets[ROUTER_PORT], self._app_for(running.sandbox_id))
            proxy = await self._egress_of(agent_id, running, attachment, sockets.get(EGRESS_PORT))
        except BaseException:
            await attachment.close()
            raise
        client = await gateway.client_for(attachment, running.api_key).__aenter__()
        resident = self._by_agent[agent_id] = Resident(running, attachment, client)
        resident.proxy = proxy
        self._in_background(self._watch(agent_id, resident), f"watch {running.sandbox_id}")
        self._in_background(self._heed_limits(agent_id, resident), f"limits of {running.sandbox_id}")
        return resident

    async def _egress_of(
        self, agent_id: str, running: Running, attachment: Attachment, listener: socket.socket | None
    ) -> EgressProxy | None:
        if listener is None:  # started before there was a proxy: its next run starts it anew
            logger.info("The sandbox has no way out yet: it was started by an earlier version of Logos")
            return None
        return await self._egress.serve(agent_id, running.sandbox_id, attachment, listener)

    def _in_background(self, work: Coroutine[Any, Any, None], name: str) -> None:
        # A context of its own: what is logged later is not about the run that happened to come first.
        task = asyncio.create_task(work, name=name, context=contextvars.Context())
        self._watchers.add(task)
        task.add_done_callback(self._watchers.discard)

    async def _watch(self, agent_id: str, resident: Resident) -> None:
        with contextlib.suppress(SandboxError):
            await resident.attachment.wait_gone()
        resident.gone.set()
        if resident.proxy is not None:
            await resident.proxy.close()
        self._lanes.forget(resident.running.sandbox_id)
        last = resident.last_notice
        is_why = last and last.is_over and time.time() - last.at < JUST_NOW_S
        reason = f"The sandbox ended by itself.{f' {last.sentence}' if last and is_why else ''}"
        if await self._db(records.lost, resident.running.sandbox_id, dict(resident.running.driver_state), reason):
            await self._db(tasks.tend_later, agent_id)

    async def _heed_limits(self, agent_id: str, resident: Resident) -> None:
        """A limit that is reached is told to the people: on the sandbox, and in the runs that go on in it."""
        with contextlib.suppress(SandboxError):
            async for notice in resident.attachment.notices():
                resident.last_notice = notice
                logger.warning("A limit of the sandbox %s: %s", resident.running.sandbox_id, notice.sentence)
                reason = notice.sentence if notice.is_over else ""
                await self._db(records.note_reason, resident.running.sandbox_id, reason)
                if notice.at >= resident.since:
                    self._noticed(agent_id, notice)

    async def _leave(self, agent_id: str) -> None:
        resident = self._by_agent.pop(agent_id, None)
        if resident is None:
            return
        resident.gone.set()
        await self._listeners.remove(resident.running.sandbox_id)
        if resident.proxy is not None:
            await resident.proxy.close()
        await resident.client.close()
        await resident.attachment.close()
