"""The engine and the MCP gateway as one thing to start and stop; sandboxes reach the gateway on the engine's sockets."""

from __future__ import annotations

import asyncio

from mcp_gateway.gateway import Gateway
from runs.engine import Engine


class Together:
    """What lives beside the pages of one ``serve``."""

    def __init__(self, engine: Engine, gateway: Gateway) -> None:
        self._engine, self._gateway = engine, gateway
        engine.router.beside["mcp"] = gateway.for_sandbox
        gateway.run_named, gateway.recorder.tell_run = engine.lanes.run_named, engine.tell
        gateway.sampler.lends = engine.lender

    async def start(self) -> None:
        """The gateway first: what runs that are taken over ask of it must find it."""
        await self._gateway.start()
        await self._engine.start()

    async def stop(self) -> None:
        """Both at the same time."""
        results = await asyncio.gather(self._engine.stop(), self._gateway.stop(), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
