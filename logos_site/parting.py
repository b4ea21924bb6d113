"""Who answers a connection to the site: the MCP gateway's own server while MCP is what is asked for, else Daphne.

Only where a request begins is looked. So every byte is read by one parser: the gateway's up to the first request for
something else, and Daphne's from there to the end.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import Protocol

from logos_site import quick_writes

if TYPE_CHECKING:
    from mcp_gateway.own_port import Guarded

# HTTP/1.0 is Daphne's: a stream would reach it in chunks, which it does not know.
_LINE = re.compile(rb"(?:POST|GET|DELETE) /mcp(?:[/?][!-~]*)? HTTP/1\.1\r")
# So is who offers another protocol (Java does): the gateway's parser would leave out the body.
_UPGRADE = re.compile(rb"\nupgrade[ \t]*:", re.IGNORECASE)
LONGEST_LINE, LONGEST_HEAD = 512, 16 * 1024
# As long as Daphne waits for a request.
LOOK_S = 60.0


def asks_for_mcp(begin: bytes) -> bool | None:
    """Does a request that begins like this ask for MCP, and for nothing else? None while that cannot be told."""
    line = begin.find(b"\n", 0, LONGEST_LINE)
    if line < 0:
        return None if len(begin) < LONGEST_LINE else False
    if _LINE.fullmatch(begin, 0, line) is None:
        return False
    head = begin.find(b"\r\n\r\n", line - 1, LONGEST_HEAD)
    if head < 0:
        return None if len(begin) < LONGEST_HEAD else False
    return _UPGRADE.search(begin, line, head) is None


def part(factory: Any, connect: Callable[[], Guarded | None]) -> None:
    """From now on this HTTP factory of Daphne's gets only connections that are not for MCP; those get what ``connect``
    gives, if that is anything."""
    pages = factory.buildProtocol
    factory.buildProtocol = lambda address: Parted(lambda: pages(address), connect)


class Parted(Protocol):
    """A connection as long as it is not Daphne's."""

    def __init__(self, pages: Callable[[], Any], connect: Callable[[], Guarded | None]) -> None:
        self._pages, self._connect = pages, connect
        self._begin = b""
        self._mcp: Guarded | None = None
        self._wire: Wire | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connectionMade(self) -> None:
        transport: Any = self.transport
        self._deadline = asyncio.get_running_loop().call_later(LOOK_S, transport.abortConnection)

    def dataReceived(self, data: bytes) -> None:
        if self._mcp is not None and not self._mcp.is_between:
            self._mcp.data_received(data)
            return
        begin = self._begin + data
        asks = asks_for_mcp(begin)
        self._begin = begin if asks is None else b""
        if asks is None:
            return
        self._looked()
        mcp = (self._mcp or self._to_mcp()) if asks else None
        if mcp is not None:
            mcp.data_received(begin)
        else:
            self._to_pages(begin)

    def connectionLost(self, reason: Any = None) -> None:
        self._looked()
        if self._mcp is not None:
            self._mcp.connection_lost(None)

    def _looked(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _to_mcp(self) -> Guarded | None:
        self._mcp = self._connect()
        if self._mcp is not None:
            transport: Any = self.transport
            transport.setTcpNoDelay(True)
            wire: Any = Wire(transport, self._mcp)
            self._wire = wire
            self._mcp.connection_made(wire)
        return self._mcp

    def _to_pages(self, begin: bytes) -> None:
        transport: Any = self.transport
        if self._mcp is not None and self._wire is not None:
            written: Any = self._mcp.transport
            written.flush()
            self._wire.leave()
            self._mcp.connection_lost(None)
        transport.protocol = pages = self._pages()
        pages.makeConnection(transport)
        pages.dataReceived(begin)


class Wire:
    """A connection of Twisted's as a protocol of asyncio's uses one; what is not read holds its writer back."""

    def __init__(self, transport: Any, protocol: asyncio.Protocol) -> None:
        self._transport, self._protocol = transport, protocol
        self._is_ours = True
        transport.registerProducer(self, True)

    def leave(self) -> None:
        """From here on the connection is another's, and nothing reaches it by this."""
        self._transport.unregisterProducer()
        self._is_ours = False

    def write(self, data: bytes) -> None:
        if self._is_open():
            quick_writes.send(self._transport, data)

    def close(self) -> None:
        """What was written is sent first."""
        if self._is_open():
            self._transport.unregisterProducer()
            self._transport.loseConnection()

    def abort(self) -> None:
        if self._is_open():
            self._transport.abortConnection()

    def is_closing(self) -> bool:
        return not self._is_open() or bool(self._transport.disconnecting)

    def pause_reading(self) -> None:
        if self._is_open():
            self._transport.pauseProducing()

    def resume_reading(self) -> None:
        if self._is_open():
            self._transport.resumeProducing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The socket alone, by which both ends are known; TLS ended before us."""
        return self._transport.socket if name == "socket" else default

    def _is_open(self) -> bool:
        return bool(self._is_ours and self._transport.connected)

    # What Twisted asks of whoever writes.
    def pauseProducing(self) -> None:
        self._protocol.pause_writing()

    def resumeProducing(self) -> None:
        self._protocol.resume_writing()

    def stopProducing(self) -> None:
        """Nothing: the protocol is told that the connection is lost."""
