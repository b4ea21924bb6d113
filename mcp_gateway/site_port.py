"""MCP clients that come by the site's own port: their connections get the server that the gateway's own port has."""

from __future__ import annotations

from mcp_gateway import own_port
from mcp_gateway.door import App, is_ours, refuse
from mcp_gateway.exchange import Receive, Scope, Send
from mcp_gateway.own_port import Guarded
from sandboxes.inference.serve import PassedListeners

NAME = "site"


class SitePort:
    """It listens to nothing: who does, asks for a ``connection``."""

    def __init__(self) -> None:
        self._connections = PassedListeners(drain_s=own_port.DRAIN_S, protocol=Guarded)

    async def open(self, app: App) -> None:
        """From now on there are connections, which ``app`` answers."""
        await self._connections.add(NAME, None, ours_alone(app))

    def connection(self) -> Guarded | None:
        """The protocol of one more connection; None when there are too many, or none are taken."""
        found = self._connections.connection(NAME)
        return found if isinstance(found, Guarded) else None

    async def close(self) -> None:
        """Take no more calls, and let those under way end soon."""
        await self._connections.close()


def ours_alone(app: App) -> App:
    """``app`` for MCP. What else is asked for comes here only when it was sent before the answer to a call, and can be
    asked for again."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if is_ours(scope["path"]):
            await app(scope, receive, send)
        else:
            await refuse(receive, send, 421, "Ask for this on another connection.", [(b"connection", b"close")])

    return answer
