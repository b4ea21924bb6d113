"""Serve ASGI applications on passed listening sockets, or connections that another listener took, inside a running event
loop, added and removed at will."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import socket
from collections.abc import Iterator
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sandboxes.inference.gathering import Gathering

_LOOK_EVERY_S = 0.01
# Of one sandbox. The runtime needs a few per run; an agent that opens thousands must not take the descriptors of the
# process that serves everybody.
MAX_CONNECTIONS = 256


# The parser itself would take a head without end.
MAX_HEAD_BYTES = 64 * 1024


class Bounded(HttpToolsProtocol):
    """A connection that is cut off when its listener has too many, or when the head of a request is too long."""

    most = MAX_CONNECTIONS
    _head_bytes = 0
    _is_in_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Gathering(transport, self.loop))  # type: ignore[arg-type]
        if len(self.connections) > self.most:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline(data[offer.args[0] :])
            return
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
            return
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _decline(self, rest: bytes) -> None:
        """Read the request again as if it offered no other protocol (Java's client always does); the parser would leave
        out its body. ``rest`` is what came after its head."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        kept = [(name, value) for name, value in self.headers if name != b"upgrade"]
        is_early = self.cycle is not None and not self.cycle.response_complete
        # Without such a header it is CONNECT; and a row of offers, each read again, would cost more than it is worth.
        if is_early or len(kept) == len(self.headers):
            self.send_400_response("Invalid HTTP request received.")
            return
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as the first one
        head = [b"%b %b HTTP/%b" % (method, self.url, version), *(b"%b: %b" % each for each in kept)]
        self.data_received(b"\r\n".join([*head, b"", rest]))


class Quiet(uvicorn.Server):
    """A uvicorn server that leaves signals to the owner of the process.

    The original replaces the handlers while it serves; with several servers coming and going, a dead one's
    handler would stay in place and SIGTERM would do nothing."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._asked_to_stop = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        self.should_exit = True
        self._asked_to_stop.set()

    async def main_loop(self) -> None:
        # The original looks ten times a second whether it should go on and what date it is; with a server per
        # sandbox that is a busy idle. We send no date, and are told when to stop.
        await self.on_tick(0)
        await self._asked_to_stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As the original, without its fixed pauses, and returning only after what was cut has ended too."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                while self.server_state.connections or self.server_state.tasks:
                    await asyncio.sleep(_LOOK_EVERY_S)
        except TimeoutError:
            open_answers = list(self.server_state.tasks)
            for task in open_answers:
                task.cancel()
            await asyncio.gather(*open_answers, return_exceptions=True)


class PassedListeners:
    """One server per listening socket, by name."""

    def __init__(self, *, drain_s: int = 5, protocol: type[Bounded] = Bounded) -> None:
        self._drain_s, self._protocol = drain_s, protocol
        self._live: dict[str, tuple[Quiet, asyncio.Task[None]]] = {}

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._live)

    async def add(self, name: str, listener: socket.socket | None, app: Any) -> None:
        """Serve ``app`` on ``listener``, which becomes ours and is closed with the server (a duplicate held
        elsewhere goes on listening); without one, only what ``connection`` hands out. Returns once it accepts. A server
        of the same name is removed first."""
        await self.remove(name)
        if listener is not None and listener.family in (socket.AF_INET, socket.AF_INET6):
            # Inherited by every accepted connection. asyncio does it only for sockets made with an explicit
            # protocol number; without it each answer waits 40 ms for an acknowledgement between head and body.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = Quiet(
            uvicorn.Config(
                app,
                http=self._protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                backlog=128,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=self._drain_s,
            )
        )
        task = asyncio.create_task(
            server.serve(sockets=[listener] if listener is not None else []),
            name=f"listener {name}",
            context=contextvars.Context(),
        )
        self._live[name] = server, task
        while not server.started and not task.done():
            await asyncio.sleep(0)
        if task.done():
            del self._live[name]
            await task

    def connection(self, name: str) -> Bounded | None:
        """The protocol for one more connection to this server; None when there is no such server, or it has too many."""
        found = self._live.get(name)
        if found is None or len(found[0].server_state.connections) >= self._protocol.most:
            return None
        return self._protocol(found[0].config, found[0].server_state, {})

    async def remove(self, name: str) -> None:
        """Stop accepting, let open answers end within ``drain_s``, then cut them. Unknown names are fine."""
        found = self._live.pop(name, None)
        if found is not None:
            server, task = found
            server.stop()
            await task

    async def close(self) -> None:
        """Remove them all, at the same time."""
        await asyncio.gather(*(self.remove(name) for name in list(self._live)))


class _MeantToBreakOff(logging.Filter):
    """An answer that broke off is left unfinished on purpose (the connection is the message); uvicorn would
    log each as an error of the application, and each that is cut by ``PassedListeners.remove`` too."""

    def filter(self, record: logging.LogRecord) -> bool:
        is_cut = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
        return not is_cut and "returned without completing response" not in str(record.msg)


logging.getLogger("uvicorn.error").addFilter(_MeantToBreakOff())
