"""Clients of others through the gateway: the official SDK over HTTP and over mcp-bridge, and mcp-remote, in both eras."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests import npm
from tests.mcp_gateway.bridged import MANAGE, environment
from tests.mcp_gateway.gate import ATLAS, BRUNO, Gate, a_gate, until

# Marked with what needs real software of others, which ``./logos test`` fetches.
pytestmark = pytest.mark.services

ERAS = ("auto", "legacy")
PATIENCE_S = 180.0
MCP_REMOTE = Path(__file__).with_name("mcp_remote")


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with a_gate() as gate:
        gate.add("files")
        yield gate


def over_http(gate: Gate, path: str = "", token: str = ATLAS) -> Any:
    """The SDK's own HTTP transport, as an editor would configure it."""
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    http = httpx2.AsyncClient(headers=headers, timeout=PATIENCE_S, trust_env=False)
    return streamable_http_client(f"{gate.url}{path}", http_client=http)


def over_bridge(gate: Gate, home: Path, path: str = "") -> Any:
    """``mcp-bridge``, started by the SDK."""
    from mcp import StdioServerParameters, stdio_client

    words = [str(MANAGE), "mcp-bridge"]
    env = environment(home, f"{gate.url}{path}", MCP_AGENT="atlas")
    return stdio_client(StdioServerParameters(command=sys.executable, args=words, env=env, cwd=home))


def over_mcp_remote(gate: Gate, home: Path, path: str = "") -> Any:
    """``mcp-remote``, a bridge of others, started by the SDK as the page of an agent tells."""
    from mcp import StdioServerParameters, stdio_client

    node, program = npm.fetch(MCP_REMOTE, "mcp-remote", "mcp-remote/dist/proxy.js")
    words = [str(program), f"{gate.url}{path}", "--header", "Authorization:${AUTHORIZATION}"]
    env = {"PATH": f"{node.parent}:{os.environ['PATH']}", "HOME": str(home), "AUTHORIZATION": f"Bearer {ATLAS}"}
    return stdio_client(StdioServerParameters(command=str(node), args=words, env=env, cwd=home))


@contextlib.asynccontextmanager
async def a_client(transport: Any, mode: str, **more: Any) -> AsyncIterator[Any]:
    from mcp import Client

    async with asyncio.timeout(PATIENCE_S):
        async with Client(transport, mode=mode, read_timeout_seconds=PATIENCE_S, **more) as client:
            yield client


Ways = Callable[[Gate, Path, str], Any]
WAYS: dict[str, Ways] = {
    "http": lambda gate, home, path: over_http(gate, path),
    "mcp-bridge": over_bridge,
    "mcp-remote": over_mcp_remote,
}


@pytest.mark.parametrize("mode", ERAS)
@pytest.mark.parametrize("way", list(WAYS))
async def test_a_client_of_others_uses_a_server(gate: Gate, tmp_path: Path, way: str, mode: str) -> None:
    heard: list[float] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        heard.append(done)

    async with a_client(WAYS[way](gate, tmp_path, "/files"), mode) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        said = await client.call_tool("echo", {"text": "grüße 🙂"})
        failed = await client.call_tool("test_error_handling", {})
        await client.call_tool("test_tool_with_progress", {}, progress_callback=progress)
        resource = await client.read_resource("test://static-text")
        together = await asyncio.gather(*(client.call_tool("echo", {"text": str(n)}) for n in range(40)))

    assert {"echo", "slow", "test_simple_text"} <= tools
    assert said.content[0].text == "grüße 🙂"
    assert failed.is_error
    assert heard == [0, 50, 100]
    assert resource.contents[0].text
    assert [each.content[0].text for each in together] == [str(n) for n in range(40)]
    assert {each.agent_id for each in gate.records} == {"agent_atlas"}
    assert len([each for each in gate.records if each.tool == "echo"]) == 41


@pytest.mark.parametrize("mode", ERAS)
@pytest.mark.parametrize("way", ["http", "mcp-bridge"])
async def test_a_client_of_others_uses_the_hub(gate: Gate, tmp_path: Path, way: str, mode: str) -> None:
    told: list[str] = []

    async def hear(message: Any) -> None:
        told.append(getattr(message, "method", ""))

    async with a_client(WAYS[way](gate, tmp_path, ""), mode, message_handler=hear) as client:
        before = {tool.name for tool in (await client.list_tools()).tools}
        said = await client.call_tool("files__echo", {"text": "by its long name"})
        now = await client.call_tool("current_time", {})
        gate.add("more")
        if (way, mode) == ("mcp-bridge", "legacy"):  # of the others only the newer era can ask for the stream
            await until(lambda: "notifications/tools/list_changed" in told, "it is told")
        after = {tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools}

    assert {"files__echo", "request_mcp_access", "current_time"} <= before
    assert said.content[0].text == "by its long name"
    assert now.structured_content["utc"]
    assert "more__echo" in after - before


@pytest.mark.parametrize("mode", ERAS)
async def test_a_client_of_others_is_refused_without_the_right_token(gate: Gate, mode: str) -> None:
    for token in ("", "wrong", BRUNO):
        with pytest.raises(BaseException) as refused:  # the SDK raises groups of its own
            async with a_client(over_http(gate, "/files", token), mode) as client:
                await client.list_tools()
        assert "files" not in str(refused.value)
    assert not [each for each in gate.records if each.outcome != "denied"]
