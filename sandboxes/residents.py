"""The sandboxes an engine is connected to: one attachment, one served router listener and one client for each.

Closing ends nothing inside: runs in progress go on, model calls made meanwhile wait in the listener's
backlog until an engine serves it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from sandboxes import drivers, records
from sandboxes.driver import Attachment, SandboxError
from sandboxes.hermes import gateway
from sandboxes.hermes.client import HermesClient
from sandboxes.hermes.configuration import ROUTER_PORT
from sandboxes.inference.lanes import Lanes
from sandboxes.inference.serve import PassedListeners
from sandboxes.lifecycle import Db, Progress, Running, ensure_running

logger = logging.getLogger(__name__)


class Resident:
    """One sandbox this engine serves."""

    def __init__(self, running: Running, attachment: Attachment, client: HermesClient) -> None:
        self.running, self.attachment, self.client = running, attachment, client
        self.gone = asyncio.Event()


class Residents:
    """Every sandbox of this engine, by agent. Used on one event loop."""

    def __init__(self, listeners: PassedListeners, lanes: Lanes, app_for: Callable[[str], Any], db: Db) -> None:
        self._listeners, self._lanes, self._app_for, self._db = listeners, lanes, app_for, db
        self._by_agent: dict[str, Resident] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._watchers: set[asyncio.Task[None]] = set()

    async def get(self, agent_id: str, progress: Progress) -> Resident:
        """The agent's sandbox, running, answering, and served by this engine's router."""
        async with self._locks.setdefault(agent_id, asyncio.Lock()):
            running = await ensure_running(agent_id, progress, self._db)
            known = self._by_agent.get(agent_id)
            if known and not known.gone.is_set() and known.running.driver_state == running.driver_state:
                return known
            if known:
                await self._leave(agent_id)
            return await self._move_in(agent_id, running)

    async def reattach(self, agent_id: str) -> Resident | None:
        """The agent's sandbox if it still runs and answers; None when it does not. Starts nothing."""
        async with self._locks.setdefault(agent_id, asyncio.Lock()):
            if (known := self._by_agent.get(agent_id)) and not known.gone.is_set():
                return known
            wanted: records.Wanted = await self._db(records.wanted, agent_id)
            running = Running(wanted.sandbox_id, wanted.driver, wanted.driver_state, wanted.layers, wanted.api_key)
            if not wanted.driver_state or await drivers.get(wanted.driver).poll(wanted.driver_state) is not None:
                return None
            try:
                return await self._move_in(agent_id, running)
            except SandboxError:
                logger.warning("The sandbox could not be attached to", exc_info=True)
                return None

    async def close(self) -> None:
        """Give every sandbox's descriptors back."""
        for task in self._watchers:
            task.cancel()
        await asyncio.gather(*[self._leave(agent_id) for agent_id in list(self._by_agent)], return_exceptions=True)

    async def _move_in(self, agent_id: str, running: Running) -> Resident:
        attachment = await drivers.get(running.driver).attach(running.driver_state)
        try:
            sockets = await attachment.listeners()
            await self._listeners.add(running.sandbox_id, sockets[ROUTER_PORT], self._app_for(running.sandbox_id))
        except BaseException:
            await attachment.close()
            raise
        client = await gateway.client_for(attachment, running.api_key).__aenter__()
        resident = self._by_agent[agent_id] = Resident(running, attachment, client)
        watcher = asyncio.create_task(self._watch(agent_id, resident), name=f"watch {running.sandbox_id}")
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        return resident

    async def _watch(self, agent_id: str, resident: Resident) -> None:
        with contextlib.suppress(SandboxError):
            await resident.attachment.wait_gone()
        resident.gone.set()
        self._lanes.forget(resident.running.sandbox_id)
        await self._db(records.lost, resident.running.sandbox_id, dict(resident.running.driver_state))

    async def _leave(self, agent_id: str) -> None:
        resident = self._by_agent.pop(agent_id, None)
        if resident is None:
            return
        resident.gone.set()
        await self._listeners.remove(resident.running.sandbox_id)
        await resident.client.close()
        await resident.attachment.close()
