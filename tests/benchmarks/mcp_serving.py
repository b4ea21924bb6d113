"""The processes that ``mcp_calls`` measures: the gateway over real rows on a listener as sandboxes have it, and a server made
with the official SDK.

    python -m tests.benchmarks.mcp_serving gateway|sdk
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys


def listening() -> socket.socket:
    """A free port of this machine, whose answers wait for no acknowledgement."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


async def gateway() -> None:
    """The gateway with policy, halts and records, on uvicorn as in front of a sandbox."""
    from mcp_gateway.gateway import Gateway
    from sandboxes.inference.serve import PassedListeners

    running, listeners, listener = Gateway(), PassedListeners(), listening()
    await running.start()
    await listeners.add("benchmark", listener, running.public)
    print(listener.getsockname()[1], flush=True)  # noqa: T201
    try:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    finally:
        await listeners.close()
        await running.stop()


def sdk() -> None:
    """A streamable HTTP server of the official SDK with the same tool, in one process."""
    import uvicorn
    from mcp.server import MCPServer

    server = MCPServer("echo", log_level="ERROR")

    @server.tool()
    def echo(text: str = "") -> str:
        """Say it again."""
        return text

    listener = listening()
    print(listener.getsockname()[1], flush=True)  # noqa: T201
    config = uvicorn.Config(server.streamable_http_app(json_response=True), log_level="error", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


def main() -> None:
    """What was asked for."""
    if sys.argv[1] == "sdk":
        sdk()
        return
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "logos_site.settings")
    import django

    django.setup()
    asyncio.run(gateway())


if __name__ == "__main__":
    main()
