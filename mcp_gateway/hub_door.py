"""``/mcp``: the tools of every server an agent has access to, and those of Logos itself, at one address."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from agents.errors import LogosError
from mcp_gateway import eras, hub, jsonrpc
from mcp_gateway.book import Served
from mcp_gateway.eras import Refusal
from mcp_gateway.jsonrpc import Message
from mcp_gateway.relay import Asked, Refused, Relay, no_method

CAPABILITIES: dict[str, Any] = {"tools": {"listChanged": True}}
INSTRUCTIONS = (
    "Tools of MCP servers are called SERVER__TOOL. list_mcp_servers says which servers there are and which of them "
    "you may use."
)
_OBJECT: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
OWN_TOOLS: list[dict[str, Any]] = [
    {
        "name": "list_mcp_servers",
        "description": "List the MCP servers you may use, each with its state and its tools.",
        "inputSchema": _OBJECT,
        "annotations": {"readOnlyHint": True},
    },
    {
        "name": "current_time",
        "description": "The current date and time in UTC.",
        "inputSchema": _OBJECT,
        "annotations": {"readOnlyHint": True},
    },
]

Answer = tuple[int, Message | None]


class Hub:
    """Answers for the address without a server's name."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._own: dict[str, Callable[[Asked], Awaitable[dict[str, Any]]]] = {
            "list_mcp_servers": self._list_servers,
            "current_time": self._time,
        }

    async def answer(self, asked: Asked) -> Answer:
        """One request of an agent to its hub."""
        method = asked.method
        if method == "ping" and not asked.modern:
            return 200, jsonrpc.result(asked.id, {})
        if method == "initialize" and not asked.modern:
            version = eras.agreed(asked.params.get("protocolVersion"))
            said = {"protocolVersion": version, "capabilities": CAPABILITIES, "serverInfo": eras.OURSELVES}
            return 200, jsonrpc.result(asked.id, said | {"instructions": INSTRUCTIONS})
        if method == "server/discover" and asked.modern:
            return 200, jsonrpc.result(asked.id, self._discovered())
        if method == "tools/list":
            names = await self.names(asked.caller.agent_id)
            return 200, self._relay.reply(asked, {"tools": [*OWN_TOOLS, *names.tools]})
        if method == "tools/call":
            return await self._call(asked)
        if method == "subscriptions/listen" and asked.modern:
            reached = self._relay.book().reached(asked.caller.agent_id)
            return await self._relay.listen(asked, {each.id: each for each in reached}, is_hub=True)
        raise Refused(no_method(asked))

    async def names(self, agent_id: str) -> hub.Names:
        """What this agent's hub offers now: the tools of servers that run. Those that start are waited for a little."""
        reached = self._relay.book().reached(agent_id)
        await asyncio.gather(*(self._waited_for(served) for served in reached))
        shown: dict[str, list[dict[str, Any]]] = {}
        for served in reached:
            supervisor = self._relay.servers.get(served.id)
            if supervisor is not None and supervisor.state == "ready":
                shown[served.name] = [each for each in supervisor.known.tools if served.shows(each["name"])]
        return hub.names(shown, [each["name"] for each in OWN_TOOLS])

    async def _waited_for(self, served: Served) -> None:
        supervisor = self._relay.servers.get(served.id)
        if supervisor is not None and supervisor.state == "starting":
            try:
                await supervisor.ready(5.0)
            except LogosError:
                return

    async def _call(self, asked: Asked) -> Answer:
        name = asked.params.get("name")
        own = self._own.get(name) if isinstance(name, str) else None
        if own is not None:
            return 200, self._relay.reply(asked, await own(asked))
        place = (await self.names(asked.caller.agent_id)).places.get(name) if isinstance(name, str) else None
        served = self._relay.book().reach(asked.caller.agent_id, place.server) if place else None
        if place is None or served is None:
            raise Refused(Refusal(200, jsonrpc.INVALID_PARAMS, f"Unknown tool: {str(name)[:128]}"))
        try:
            supervisor = await self._relay.running(served)
        except LogosError as error:
            return 200, self._relay.reply(asked, jsonrpc.told_model(f"{error.message} {error.action}"))
        inner = replace(asked, message={**asked.message, "params": {**asked.params, "name": place.tool}})
        return await self._relay.call(inner, served, supervisor, place.tool)

    async def _list_servers(self, asked: Asked) -> dict[str, Any]:
        found = []
        for served in self._relay.book().reached(asked.caller.agent_id):
            supervisor = self._relay.servers.get(served.id)
            tools = supervisor.known.tools if supervisor is not None else []
            found.append(
                {
                    "name": served.name,
                    "description": served.description,
                    "category": served.category,
                    "state": supervisor.state if supervisor is not None else "stopped",
                    "tools": [hub.name_of(served.name, each["name"]) for each in tools if served.shows(each["name"])],
                }
            )
        return told({"servers": found})

    async def _time(self, asked: Asked) -> dict[str, Any]:
        return told({"utc": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")})

    def _discovered(self) -> dict[str, Any]:
        return {
            "supportedVersions": list(eras.SUPPORTED),
            "capabilities": CAPABILITIES,
            "instructions": INSTRUCTIONS,
            "_meta": {eras.SERVER: eras.OURSELVES},
            "resultType": "complete",
            "ttlMs": eras.TTL_MS,
            "cacheScope": "private",
        }


def told(value: dict[str, Any]) -> dict[str, Any]:
    """The result of a tool of ours: for models as text, for programs as it is."""
    return {"content": [{"type": "text", "text": jsonrpc.dumps(value).decode()}], "structuredContent": value}
