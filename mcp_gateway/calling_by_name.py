"""A tool of the hub that calls a tool of a server by both their names: for whoever was given a server in the middle of
its work, while its own list of tools stays as it was at the beginning."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from mcp_gateway import hub, jsonrpc
from mcp_gateway.asked import Asked

NAME = "call_mcp_tool"
TOOL: dict[str, Any] = {
    "name": NAME,
    "description": (
        "Call a tool of an MCP server that you may use. For tools that are not in your own list yet, as right after "
        "access was given; list_mcp_servers with the server's name tells what they take."
    ),
    "inputSchema": {
        "type": "object",
        "properties": {
            "server": {"type": "string", "description": "Its name, from list_mcp_servers."},
            "tool": {"type": "string", "description": "The tool's own name, without that of the server."},
            "arguments": {"type": "object", "description": "What the tool takes."},
        },
        "required": ["server", "tool"],
        "additionalProperties": False,
    },
}
# Definitions beyond this would cost more than they are worth; the rest is told by name.
MOST_TOLD = 48 * 1024


@dataclass(frozen=True, slots=True)
class Named:
    """Which tool of which server; ``asked`` is the call as if it had been made there."""

    server: str
    tool: str
    asked: Asked


def named(asked: Asked) -> Named | None:
    """What the call of this tool is about; None when it does not say."""
    given = asked.params.get("arguments")
    given = given if isinstance(given, dict) else {}
    server, tool, arguments = given.get("server"), given.get("tool"), given.get("arguments", {})
    if not isinstance(server, str) or not isinstance(tool, str) or not isinstance(arguments, dict):
        return None
    params = {**asked.params, "name": tool, "arguments": arguments}
    return Named(server, tool, replace(asked, message={**asked.message, "params": params}))


def described(server: str, tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tools of a server for a model that cannot see them in its list: what they take, as far as there is room."""
    found, left = [], MOST_TOLD
    for tool in tools:
        one = {"tool": tool["name"], "name": hub.name_of(server, tool["name"])}
        whole = one | {key: tool[key] for key in ("description", "inputSchema") if key in tool}
        left -= len(jsonrpc.dumps(whole))
        found.append(whole if left >= 0 else one)
    return found
