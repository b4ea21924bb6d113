"""``manage.py mcp-bridge`` as a client starts it: a program with messages on its pipes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.mcp_gateway.gate import ATLAS, PATIENCE_S

MANAGE = Path(__file__).parents[2] / "manage.py"
# Django alone takes a while to start on a slow machine.
STARTING_S = 180.0


def environment(home: Path, url: str, token: str = ATLAS, **more: str) -> dict[str, str]:
    """What a client's configuration gives the bridge, and nothing of ours."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "LOGOS_HOME": str(home), "MCP_URL": url, "MCP_TOKEN": token, **more}


class Bridged:
    """Talk to it as a client does; ``said`` is everything it ever wrote."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[dict[str, Any]] = []

    def write(self, message: Any) -> None:
        line = message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n"
        assert self.process.stdin is not None
        self.process.stdin.write(line)

    async def next(self, patience_s: float = STARTING_S) -> dict[str, Any]:
        """Its next line, which must be a message of the protocol."""
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), patience_s)
        assert line, await self.errors()
        self.said.append(json.loads(line))
        assert self.said[-1]["jsonrpc"] == "2.0"
        return self.said[-1]

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request; what else it says meanwhile is in ``said``."""
        self.write(message)
        while True:
            found = await self.next()
            if found.get("id") == message["id"] and "method" not in found:
                return found

    async def call(self, tool: str, id: Any = "call", **arguments: Any) -> Any:
        params = {"name": tool, "arguments": arguments}
        return await self.ask({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})

    async def end(self) -> int:
        """Close its input as a client does that leaves; its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return await asyncio.wait_for(self.process.wait(), STARTING_S)

    async def errors(self) -> str:
        assert self.process.stderr is not None
        return (await asyncio.wait_for(self.process.stderr.read(), PATIENCE_S)).decode()


@contextlib.asynccontextmanager
async def a_bridge(home: Path, url: str, *words: str, **environ: str) -> AsyncIterator[Bridged]:
    """A bridge to ``url``, gone afterwards."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(MANAGE), "mcp-bridge", *words),
        env=environment(home, url, **environ), cwd=home, limit=64 * 1024 * 1024,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Bridged(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
