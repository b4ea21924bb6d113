"""The real runtime and the hub of its tools: it starts whether or not the hub answers, and knows the tools of today."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from sandboxes.hermes.configuration import HermesConfig
from sandboxes.hermes.runtime import Runtime
from tests.sandboxes.hermes.real_sandbox import RealSandbox, real_sandbox
from tests.sandboxes.hermes.scripted_model import ScriptedModel
from tests.sandboxes.hermes.test_real_runtime import calls_on, whole_run

pytestmark = pytest.mark.runtime

CONFIG = HermesConfig("scripted", toolsets=("terminal",), max_concurrent_runs=4)
PATIENCE_S = 120.0


class Hub:
    """A tool server that can be slow, down or well."""

    def __init__(self, mood: str) -> None:
        self.mood, self.tools = mood, ["echo"]
        self.heard: list[str] = []
        self.answered = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if request.method != "POST":
            return web.Response(status=405)
        message = await request.json()
        self.heard.append(message["method"])
        if self.mood == "down":
            return web.Response(status=503)
        while self.mood == "slow":
            await asyncio.sleep(0.05)
        self.answered += 1
        if "id" not in message:
            return web.Response(status=202)
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": self._result(message)})

    def _result(self, message: dict[str, Any]) -> dict[str, Any]:
        if message["method"] == "initialize":
            version, info = message["params"]["protocolVersion"], {"name": "hub", "version": "1"}
            return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
        if message["method"] == "tools/list":
            schema = {"type": "object", "properties": {}}
            return {"tools": [{"name": name, "description": name, "inputSchema": schema} for name in self.tools]}
        return {}


async def tools_known(sandbox: RealSandbox, lane: int) -> tuple[str, ...]:
    """The tools of the hub that the model is offered in a run."""
    await whole_run(sandbox, "hello", lane, f"hub-{lane}")
    return tuple(name for name in calls_on(sandbox, lane)[0].tools if name.startswith("mcp__"))


async def tools_become(sandbox: RealSandbox, wanted: tuple[str, ...], lane: int) -> None:
    """Runs, until one is offered these."""
    async with asyncio.timeout(PATIENCE_S):
        while await tools_known(sandbox, lane) != wanted:
            lane += 1
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("mood", ["slow", "down"])
async def test_it_starts_and_works_while_the_hub_does_not_and_finds_it_later(runtime: Runtime, mood: str) -> None:
    hub = Hub(mood)
    async with real_sandbox(runtime, CONFIG, model=ScriptedModel(hub=hub)) as sandbox:
        # It answers, and the hub has been asked and has not said a word.
        assert await tools_known(sandbox, 1) == ()
        assert "terminal" in calls_on(sandbox, 1)[0].tools
        assert (hub.answered, "initialize" in hub.heard) == (0, True)

        hub.mood = "well"
        await tools_become(sandbox, ("mcp__logos__echo",), 2)


async def test_every_run_knows_the_tools_of_its_beginning_also_after_the_hub_was_away(runtime: Runtime) -> None:
    hub = Hub("well")
    async with real_sandbox(runtime, CONFIG, model=ScriptedModel(hub=hub)) as sandbox:
        await tools_become(sandbox, ("mcp__logos__echo",), 1)

        hub.tools = ["files__read", "echo"]
        assert set(await tools_known(sandbox, 30)) == {"mcp__logos__echo", "mcp__logos__files__read"}
        hub.mood = "slow"
        await tools_known(sandbox, 31)
        hub.mood, hub.tools = "well", ["echo"]
        await tools_become(sandbox, ("mcp__logos__echo",), 32)
