"""The gateway of this process: MCP servers, the relay in front of them, and the rows it reads and writes.

``serve`` starts it beside the engine. One process at a time runs the servers, whoever holds the lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.db import DatabaseError

from mcp_gateway import boxes, calls, journal, launch_pins, pins, rates, reading, started_files, token_uses
from mcp_gateway.asked import Asked
from mcp_gateway.book import Book, Caller
from mcp_gateway.boxed import BoxedLaunch
from mcp_gateway.children import Launch
from mcp_gateway.connections import rows as connected
from mcp_gateway.connections.ways import Ways, stopped
from mcp_gateway.door import App, Door, refuse
from mcp_gateway.exchange import Receive, Scope, Send
from mcp_gateway.fleet import Fleet
from mcp_gateway.holding import Holder
from mcp_gateway.hub_door import Hub
from mcp_gateway.introducing import LISTS
from mcp_gateway.jsonrpc import Message
from mcp_gateway.oauth.renewing import Accounts
from mcp_gateway.own_port import Guarded, OwnPort
from mcp_gateway.peers import Gone, Launchable, Peer
from mcp_gateway.recording import FULL, Recorder
from mcp_gateway.relay import Relay
from mcp_gateway.remote.peer import RemoteLaunch
from mcp_gateway.sampling import rows as sampled
from mcp_gateway.sampling.answering import Sampler
from mcp_gateway.site_port import SitePort
from mcp_gateway.started_files import File
from mcp_gateway.supervisor import Supervisor
from mcp_gateway.token_uses import TokenUses
from runs.threads import DatabaseThreads
from sandboxes.claimants import process_name
from sandboxes.egress.rows import SWEPT
from sandboxes.halts import UNREADABLE, HaltWatch
from sandboxes.hermes.configuration import INFERENCE_HOST

logger = logging.getLogger(__name__)

# How often the rows are asked whether something has changed: a revocation must bite within a second.
POLL_S = 0.4
# Below LOGOS_HOME: what is about to be done, of each process.
BEGUN = "mcp-begun"
RENEW_S = 4.0
# How long the files of a server may take to be looked at before it is started.
FILES_S = 60.0
# How often it is looked for what is too old to keep.
FORGET_S = 600.0

# The names by which a sandbox reaches its own listener.
SANDBOX_HOSTS = (INFERENCE_HOST,)

_current: Gateway | None = None


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """``/mcp`` on the public port: agents by their tokens."""
    if _current is None:
        await refuse(receive, send, 503, "The MCP gateway does not run in this process.")
        return
    await _current.public(scope, receive, send)


def connection() -> Guarded | None:
    """The protocol for a connection to the site that asks for MCP; None when Daphne has to answer it."""
    return _current.site_port.connection() if _current is not None else None


def own_address(host: str) -> str:
    """Where clients find the hub by the gateway's own port, for somebody who reached the site as ``host``; "" for nowhere."""
    return _current.own_port.address(host) if _current is not None else ""


class Gateway:
    """Start it on a running loop; stop it before the loop ends."""

    def __init__(self) -> None:
        self.owner = process_name()
        self._threads = DatabaseThreads(2, "mcp-db")
        self._disks = ThreadPoolExecutor(8, "mcp-disk")
        self._looks: dict[tuple[str, str], asyncio.Future[list[File]]] = {}
        self.recorder = Recorder(self._threads.run, settings.LOGOS_HOME / BEGUN, self.owner)
        self.book = Book()
        self._reading = asyncio.Lock()
        self.fleet = Fleet(self._launch, said=self._said, asked=self._asked, offers=self._offers)
        self._halts = HaltWatch(self._threads.run)
        self._ways = Ways(self._threads.run, self._halts)
        # Which run in a sandbox has this name; the engine's, where there is one.
        self.run_named: Callable[[str, str], str] = lambda sandbox_id, name: ""
        self.sampler = Sampler(
            halted=self._halted,
            begin=lambda record: self._threads.run(sampled.begin, record),
            store=lambda record: self._threads.run(sampled.store, record),
            tell_run=lambda run_id, kind, data: self.recorder.tell_run(run_id, kind, data),
        )
        self.relay = Relay(
            lambda: self.book,
            self.fleet,
            self.recorder.end,
            halted=self._halted,
            run_of=self._run_of,
            holder=Holder(self._threads.run, self._run_of),
            begin=self.recorder.begin,
            sampler=self.sampler,
        )
        self.relay.hub = Hub(self.relay, self._threads.run, self._run_of)
        self._uses = TokenUses()
        self.public: App = Door(self.relay, self._by_token, _public_hosts)
        self.own_port, self.site_port = OwnPort(), SitePort()
        self._mark: Any = None
        self._ids: frozenset[str] = frozenset()
        self._holds_lease = False
        self._renew_at = self._forget_at = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._has_stopped = False

    async def start(self) -> None:
        """Read the rows, start the servers, answer."""
        global _current
        if lost := await self._threads.run(journal.recover, settings.LOGOS_HOME / BEGUN):
            logger.warning("Logos had ended while %s MCP calls went on", lost)
        await self._look()
        self._tasks = [
            asyncio.create_task(story(), context=contextvars.Context()) for story in (self._watch, self._write)
        ]
        await self.site_port.open(self.public)
        _current = self
        if settings.LOGOS_MCP_PORT:
            await self.own_port.open(settings.LOGOS_MCP_BIND, settings.LOGOS_MCP_PORT, self.public)
        logger.info("The MCP gateway is running")

    async def stop(self) -> None:
        """End the servers this process runs; agents find the gateway again after a restart."""
        global _current
        if _current is self:
            _current = None
        if self._has_stopped:
            return
        self._has_stopped = True
        await asyncio.gather(self.own_port.close(), self.site_port.close())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.fleet.close()
        await self.sampler.close()
        await self._ways.close()
        with contextlib.suppress(DatabaseError):
            await self._flush()
            if self._holds_lease:
                await self._threads.run(reading.all_stopped)
                await self._threads.run(reading.give_lease, self.owner)
        self._disks.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._threads.close)
        self.recorder.close()

    def for_sandbox(self, sandbox_id: str) -> App:
        """``/mcp`` on a sandbox's own listener: the socket is the identity, and no token is looked at."""
        return Door(self.relay, lambda secret: self.book.by_sandbox(sandbox_id), lambda: SANDBOX_HOSTS)

    def _by_token(self, secret: str) -> Caller | None:
        caller = self.book.by_token(secret)
        if caller is not None:
            self._uses.note(caller.token_id)
        return caller

    async def _launch(self, server_id: str, agent_id: str) -> Launchable:
        found = await self._threads.run(reading.launch, server_id, agent_id)
        if isinstance(found, RemoteLaunch) and found.uses_account:
            return replace(found, account=Accounts(server_id, self._threads.run))
        if not isinstance(found, RemoteLaunch):
            files = await self._files_of(found, (server_id, agent_id))
            await self._threads.run(launch_pins.check_files, server_id, agent_id, files)
        if isinstance(found, BoxedLaunch):
            return replace(found, way=self._ways.of(server_id, found.name, agent_id))
        return found

    async def _files_of(self, launch: Launch | BoxedLaunch, whose: tuple[str, str]) -> list[File]:
        """What would be started. Disks may be slow, and nobody else waits for them: one look at a time for each. Raises
        Gone."""
        look = functools.partial(started_files.of, launch, own=not whose[1])
        try:
            async with asyncio.timeout(FILES_S):
                if (before := self._looks.get(whose)) is not None:
                    await asyncio.wait({before})
                looking = self._looks[whose] = asyncio.get_running_loop().run_in_executor(self._disks, look)
                looking.add_done_callback(lambda done: self._looked(whose, done))
                return await asyncio.shield(looking)
        except TimeoutError:
            raise Gone(f"Its files could not be looked at within {FILES_S:g} seconds.") from None

    def _looked(self, whose: tuple[str, str], done: asyncio.Future[list[File]]) -> None:
        if self._looks.get(whose) is done:
            del self._looks[whose]
        if not done.cancelled() and done.exception() is not None:
            logger.warning("The files of an MCP server could not be looked at", exc_info=done.exception())

    def _said(self, supervisor: Supervisor, message: Message, server_id: str) -> None:
        self.relay.listening.said(supervisor, message, server_id)

    def _asked(self, supervisor: Supervisor, child: Peer, message: Message, server_id: str) -> bool:
        served = next((each for each in self.book.servers.values() if each.id == server_id), None)
        return self.relay.listening.asked(supervisor, child, message, served)

    async def _offers(self, supervisor: Supervisor, server_id: str) -> None:
        """What a server offers is compared with what was accepted before anybody is shown any of it."""
        try:
            if await self._threads.run(pins.compare, server_id, supervisor.known.pinned, supervisor.pins):
                logger.info("The tools of the MCP server %s are others now", server_id)
                await self._read_book()
        except DatabaseError as error:
            raise Gone("What it offers could not be compared with what was accepted.") from error
        shared = self.fleet.get(server_id)
        is_new = supervisor.agent_id and supervisor.state != "ready"
        if is_new and shared is not None and shared.known.marks != supervisor.known.marks:
            # Until now its agent was shown what the server itself offers.
            for method in LISTS:
                self._said(supervisor, {"jsonrpc": "2.0", "method": method}, server_id)

    async def _read_book(self) -> None:
        """One after the other: a book that was read earlier must not take the place of a later one."""
        async with self._reading:
            self.book = await self._threads.run(reading.book)

    async def _halted(self, agent_id: str, server: str) -> str:
        """Why nothing may begin for this agent on this server, "" when it may."""
        if self.recorder.is_full:
            return FULL
        halts = await self._halts.now()
        held = halts.of_work(agent_id, None, (*self._halts.servers, server)) if halts else None
        return held.sentence if held is not None else ""

    def _run_of(self, asked: Asked) -> str:
        """The run that asks from this sandbox, by the name it gives, where it can be told."""
        sandbox_id = asked.caller.sandbox_id
        return self.run_named(sandbox_id, asked.named_run) if sandbox_id else ""

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            try:
                if await self._halts.look():
                    await self._ways.cut()
                await self._look()
                await self._forget()
            except Exception:
                logger.exception("The rows of the MCP gateway could not be read; trying again")
                await asyncio.sleep(1.0)

    async def _look(self) -> None:
        """What has changed since the last look, taken over."""
        now = asyncio.get_running_loop().time()
        held = self._holds_lease
        if now >= self._renew_at:
            self._holds_lease = await self._threads.run(reading.take_lease, self.owner)
            self._renew_at = now + RENEW_S
            if self._holds_lease and not held:
                if lost := await self._threads.run(calls.interrupted):
                    logger.warning("Logos ended while %s MCP calls went on", lost)
                await self._threads.run(sampled.interrupted)
                self.relay.judge.remember(await self._threads.run(rates.lately))
        mark = (await self._threads.run(reading.mark), self._holds_lease)
        if mark == self._mark:
            return
        await self._read_book()
        if self._holds_lease:
            wanted = await self._threads.run(reading.wanted)
            await self._threads.run(reading.note_disabled, [each.id for each in wanted])
            await self.fleet.sync(wanted)
            await self._erase_deleted()
        elif held:
            logger.warning("Another process runs the MCP servers now")
            await self.fleet.close()
        self._mark = mark
        self.relay.listening.changed()

    async def _forget(self) -> None:
        """Old connections, a batch at a time, by whoever runs the servers."""
        now = asyncio.get_running_loop().time()
        if self._holds_lease and now >= self._forget_at:
            full = await self._threads.run(connected.sweep) >= SWEPT
            self._forget_at = now + (0 if full else FORGET_S)

    async def _erase_deleted(self) -> None:
        """The folders of servers that were deleted since the last look; what was never seen here is left alone."""
        ids = await self._threads.run(reading.ids)
        for gone in self._ids - ids:
            await asyncio.to_thread(boxes.erase, settings.LOGOS_HOME / reading.FOLDERS, gone)
        self._ids = ids

    async def _write(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await self.fleet.moved.wait()
            await asyncio.sleep(0.05)
            try:
                await self._sweep()
                await self._flush()
            except Exception:
                logger.exception("What happened at the MCP gateway could not be written; trying again")
                await asyncio.sleep(1.0)

    async def _sweep(self) -> None:
        """Copies end with the access of their agents, and when those are stopped. While nobody can tell what is stopped,
        their connections are closed and they stay."""
        halts = await self._halts.now()
        names = {each.id: each.name for each in self.book.servers.values()}

        def may_run(server_id: str, agent_id: str) -> bool:
            if not self.book.may_use(agent_id, server_id):
                return False
            servers = (*self._halts.servers, names.get(server_id, ""))
            return halts is UNREADABLE or stopped(halts, agent_id, servers) is None

        await self.fleet.sweep(may_run)

    async def _flush(self) -> None:
        if changes := self.fleet.changes():
            await self._threads.run(reading.write, changes)
        now = token_uses.now()
        if used := self._uses.due(now):
            try:
                await self._threads.run(token_uses.write, used, now)
            except DatabaseError:
                self._uses.forget(used)
                raise
        await self.recorder.flush()


def _public_hosts() -> Iterable[str]:
    return [host for host in settings.ALLOWED_HOSTS if host != "*"]
