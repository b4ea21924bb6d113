"""Serve pages, streams and the engine from one event loop, and end all of it within three seconds of SIGTERM.

Importing this installs Twisted's asyncio reactor, so only ``manage.py serve`` may import it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from daphne.server import Server as Daphne  # first: it installs the reactor
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from agents.errors import LogosError
from logos_site import descriptors, parting, quick_writes, request_limits

if TYPE_CHECKING:
    from mcp_gateway.own_port import Guarded

logger = logging.getLogger(__name__)

ENGINE_STOP_S = 2.2
LAST_RESORT_S = 2.8
# What a browser sends in one piece: keys, and pastes that the page cuts. A slow machine may take its time to look who
# comes.
SOCKET_MESSAGE_BYTES = 64 * 1024
HANDSHAKE_S = 20


class Startable(Protocol):
    """What lives beside the pages: ``runs.engine.Engine``, or a fake."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Server(Daphne):
    """Daphne, with the engine started when it listens and stopped before it ends. Connections for MCP get what ``mcp``
    gives, if it gives anything."""

    def __init__(
        self,
        application: Any,
        engine: Startable,
        host: str,
        port: int,
        *,
        mcp: Callable[[], Guarded | None] = lambda: None,
    ) -> None:
        interface = host.replace(":", "\\:")
        super().__init__(
            application,
            endpoints=[f"tcp:port={port}:interface={interface}"],
            ready_callable=self._when_ready,
            server_name="logos",
            websocket_max_message_size=SOCKET_MESSAGE_BYTES,
            websocket_max_frame_size=SOCKET_MESSAGE_BYTES,
            websocket_handshake_timeout=HANDSHAKE_S,
            verbosity=0,
        )
        self._address = f"{host}:{port}"
        self._engine, self._mcp = engine, mcp
        self._tasks: set[asyncio.Task[None]] = set()
        self.failure: LogosError | None = None

    def serve(self) -> None:
        """Answer until SIGTERM or SIGINT. Raises LogosError when it cannot listen or the engine cannot start."""
        descriptors.allow_many()
        reactor.addSystemEventTrigger("before", "shutdown", self._shut_down)  # type: ignore[arg-type]
        self.run()
        if self.failure is not None:
            raise self.failure

    def listen_error(self, failure: Any) -> None:
        self.failure = LogosError(
            f"Logos cannot listen on {self._address}.",
            reason="port_in_use",
            detail=failure.getErrorMessage(),
            action="Choose another port with --port, or end what listens there.",
        )
        self.stop()

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        if scope["type"] == "http":
            scope.setdefault("extensions", {})["logos.push"] = quick_writes.Push(protocol)
        return super().create_application(protocol, scope)

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        is_piece = message["type"] == "http.response.body" and message.get("more_body", False)
        if not is_piece or protocol not in self.connections or not quick_writes.write(protocol, message["body"]):
            await super().handle_reply(protocol, message)
        if is_piece and quick_writes.unread(protocol):
            await quick_writes.read_on(protocol)
        elif message["type"] == "websocket.send" and quick_writes.unread_socket(protocol):
            await quick_writes.socket_read_on(protocol)

    def kill_all_applications(self) -> Deferred[Any]:
        # Daphne's own stumbles over a kept-alive connection without a request and then ends no stream at all.
        running = [
            application
            for details in self.connections.values()
            if (application := details.get("application_instance")) is not None and not application.done()
        ]
        for application in running:
            application.cancel()
        return Deferred.fromFuture(asyncio.gather(*running, return_exceptions=True))

    def _when_ready(self) -> None:
        # Called before the loop runs, but the loop exists.
        request_limits.guard(self.http_factory)
        parting.part(self.http_factory, self._mcp)
        task = asyncio.get_event_loop().create_task(self._start_engine())
        self._tasks.add(task)

    async def _start_engine(self) -> None:
        try:
            await self._engine.start()
        except Exception as error:
            logger.exception("The engine could not be started")
            self.failure = LogosError(
                "The engine could not be started.", reason="engine_failed", detail=str(error), action="See the log."
            )
            self.stop()

    def _shut_down(self) -> Deferred[Any]:
        # A thread stuck in a slow query must not hold up the end: what matters is in rows already.
        last_resort = threading.Timer(LAST_RESORT_S, os._exit, (0,))
        last_resort.daemon = True
        last_resort.start()
        return Deferred.fromFuture(asyncio.ensure_future(self._stop_engine()))

    async def _stop_engine(self) -> None:
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        try:
            async with asyncio.timeout(ENGINE_STOP_S):
                await self._engine.stop()
        except Exception:
            logger.exception("The engine did not stop in good order; its runs will be taken over")
