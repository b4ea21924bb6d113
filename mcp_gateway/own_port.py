"""A port of the gateway's own for clients outside: the same door as on the site's port, on a server that costs a call less."""

from __future__ import annotations

import asyncio
import logging
import socket

from mcp_gateway.door import LOCAL, App, hostname
from sandboxes.inference.serve import Bounded, PassedListeners

logger = logging.getLogger(__name__)

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, never bound here
# How long calls under way may still take when Logos ends.
DRAIN_S = 1
# How long a request may take to arrive, whoever sends it.
ARRIVES_S = 30.0


class Guarded(Bounded):
    """A connection from anywhere: cut off when a request does not arrive in time."""

    most = 1024
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await()

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await()

    def on_message_complete(self) -> None:
        self._arrived()
        super().on_message_complete()

    @property
    def is_between(self) -> bool:
        """Has what was asked so far come whole and been answered?"""
        return self._deadline is None and self.cycle is not None and self.cycle.response_complete

    def _await(self) -> None:
        self._arrived()
        self._deadline = self.loop.call_later(ARRIVES_S, self.transport.abort)

    def _arrived(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class OwnPort:
    """One listener; ``port`` is 0 while there is none."""

    def __init__(self) -> None:
        self._listeners = PassedListeners(drain_s=DRAIN_S, protocol=Guarded)
        self.host, self.port = "", 0

    async def open(self, host: str, port: int, app: App) -> None:
        """Listen there. Where that cannot be, clients come in by the site's own port alone, and the log says so."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listener = socket.create_server((host, port), family=family, backlog=256)
        except (OSError, OverflowError) as error:
            logger.warning("MCP clients come in by the site's own port: %s:%s cannot be used (%s)", host, port, error)
            return
        where = listener.getsockname()
        await self._listeners.add("mcp", listener, app)
        self.host, self.port = host, where[1]
        logger.info("MCP clients come in at http://%s:%s/mcp too", host, self.port)

    async def close(self) -> None:
        """Take no more calls, and let those under way end soon."""
        self.port = 0
        await self._listeners.close()

    def address(self, host: str) -> str:
        """Where clients find the hub, for somebody who reached the site as ``host``; "" when they do not by this port."""
        return reached(self.host, self.port, host)


def reached(bound: str, port: int, host: str) -> str:
    """The same for a port on which the gateway listens at ``bound``; 0 is none (pure)."""
    name = hostname(host)
    if not port or not name or (bound in LOCAL and name not in LOCAL):
        return ""
    found = name if bound in LOCAL or bound in EVERYWHERE else bound
    return f"http://{f'[{found}]' if ':' in found else found}:{port}/mcp"
