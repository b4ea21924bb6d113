"""The tools in an agent's own sandbox, served like those of an MCP server: ``/mcp/capabilities``, and in the hub for
clients outside, which have no sandbox of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from agents.errors import LogosError
from mcp_gateway import eras, jsonrpc, patience
from mcp_gateway.asked import Answer, Asked, Refused, no_method
from mcp_gateway.eras import Refusal
from mcp_gateway.waits import CANCELLED, TakenBack
from sandboxes.tool_server import calls, catalogue
from sandboxes.tool_server.records import Caller

NAME = "capabilities"
CAPABILITIES: dict[str, Any] = {"tools": {}}
INSTRUCTIONS = "Files, processes, the network and git in the agent's own sandbox, under the rules of its tools."
LONGEST_S = 1_000.0


class Capabilities:
    """Answers for that address; ``run_of`` tells the run a message belongs to."""

    def __init__(self, run_of: Callable[[Asked], str]) -> None:
        self._run_of = run_of

    def tools(self) -> list[dict[str, Any]]:
        """What there is, by names without dots."""
        return calls.list_tools(dots=False)

    async def answer(self, asked: Asked) -> Answer:
        """One request."""
        method = asked.method
        if method == "ping" and not asked.modern:
            return 200, jsonrpc.result(asked.id, {})
        if method == "initialize" and not asked.modern:
            version = eras.agreed(asked.params.get("protocolVersion"))
            info = {**eras.OURSELVES, "title": "Logos: the agent's sandbox"}
            said = {"protocolVersion": version, "capabilities": CAPABILITIES, "serverInfo": info}
            return 200, jsonrpc.result(asked.id, said | {"instructions": INSTRUCTIONS})
        if method == "server/discover" and asked.modern:
            return 200, jsonrpc.result(asked.id, eras.discovered(CAPABILITIES, INSTRUCTIONS))
        if method == "tools/list":
            return 200, asked.reply({"tools": self.tools()})
        if method == "tools/call":
            return await self.call(asked, asked.params.get("name"))
        raise Refused(no_method(asked))

    async def call(self, asked: Asked, name: Any) -> Answer:
        """Call one of them, under the rules of the agent's tools; recorded as every call of them is."""
        try:
            tool = catalogue.find(name if isinstance(name, str) else "")
        except LogosError as error:
            raise Refused(Refusal(200, jsonrpc.INVALID_PARAMS, f"Unknown tool: {str(name)[:128]}")) from error
        caller = Caller("mcp", run_id=self._run_of(asked) if asked.caller.sandbox_id else "")
        given = asked.params.get("arguments", {})
        # A caller that leaves ends the call, and what it began in the sandbox.
        calling = asyncio.ensure_future(
            calls.call(asked.caller.agent_id, tool.name, given, caller, hold_s=patience.HOLD_S)
        )
        try:
            with asked.waits.held(asked.key, calling):
                found = await asked.exchange.until(calling, LONGEST_S)
        except TakenBack:
            return asked.failed(CANCELLED)
        except LogosError as error:
            return asked.failed(f"{error.message} {error.action}".strip())
        except TimeoutError:
            return asked.failed("It took too long and was ended.")
        finally:
            calling.cancel()
        return 200, asked.reply(found.as_mcp())
