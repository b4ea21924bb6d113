"""A server made with the official SDK (low-level) that asks a model: on its own line, or, in the newer era, within its result."""

from __future__ import annotations

from typing import Any

import anyio
import mcp_types as types
from mcp.server import Server
from mcp.server.stdio import stdio_server

MODERN = "2026-07-28"
SAID = [types.SamplingMessage(role="user", content=types.TextContent(text="What is the capital of France?"))]


async def list_tools(ctx: Any, params: Any) -> types.ListToolsResult:
    schema = {"type": "object", "properties": {"tokens": {"type": "integer"}, "tools": {"type": "boolean"}}}
    return types.ListToolsResult(tools=[types.Tool(name="capital", description="Asks a model.", input_schema=schema)])


async def call_tool(ctx: Any, params: types.CallToolRequestParams) -> Any:
    given = params.arguments or {}
    tools = [types.Tool(name="look_up", input_schema={"type": "object"})] if given.get("tools") else None
    if ctx.protocol_version == MODERN:
        found = (params.input_responses or {}).get("capital")
        if found is None:
            wish = types.CreateMessageRequestParams(messages=SAID, max_tokens=given.get("tokens", 50), tools=tools)
            return types.InputRequiredResult(input_requests={"capital": types.CreateMessageRequest(params=wish)})
    else:
        found = await ctx.session.create_message(SAID, max_tokens=given.get("tokens", 50), tools=tools)
    answer = types.TextContent(text=found.model_dump_json(by_alias=True, exclude_none=True))
    return types.CallToolResult(content=[answer])


async def main() -> None:
    server = Server("sdk-asker", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(main)
