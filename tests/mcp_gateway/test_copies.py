"""A server with a copy for each agent: what one agent does in it is nothing another one meets, and idle copies go."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator

import pytest
from asgiref.sync import sync_to_async

from agents import composition, halting, souls
from agents.models import Role
from mcp_gateway import access, copies, own_children, pinning, servers
from mcp_gateway.gateway import Gateway
from mcp_gateway.models import McpHealth, McpPin
from tests.api_client import Program
from tests.conftest import person
from tests.mcp_gateway.gate import EVERYTHING, PATIENCE_S, children_of, held, nothing_more, request, until
from tests.mcp_gateway.test_gateway import ask, rows

pytestmark = pytest.mark.django_db(transaction=True)


class House:
    """Ada's server with copies; Alice's atlas and bruno and Bob's cleo may use it, each with a token."""

    def __init__(self) -> None:
        self.ada, self.alice, self.bob = person("ada", Role.ADMIN), person("alice"), person("bob")
        self.server = servers.create(
            self.ada, "files", sys.executable, args=[str(EVERYTHING)], visibility="shared", place="host",
            children="per_agent", max_children=2,
        )  # fmt: skip
        self.tokens, self.access, self.agents = {}, {}, {}
        for name, owner in (("atlas", self.alice), ("bruno", self.alice), ("cleo", self.bob)):
            agent = composition.create(owner, name, souls.create(f"Soul of {name}", "Text.", owner))
            self.access[name] = access.give(owner, agent.pk, self.server.pk)
            _, self.tokens[name] = access.make_token(owner, agent.pk, "editor")
            self.agents[name] = agent

    async def call(self, agent: str, tool: str, /, path: str = "/mcp/files", **arguments: object) -> dict:
        name = tool if path == "/mcp/files" or tool == "list_mcp_servers" else f"files__{tool}"
        found = await ask(self.tokens[agent], path, request("tools/call", name=name, arguments=arguments))
        assert "result" in found[1], found
        return found[1]["result"]

    async def listed(self, agent: str, path: str) -> list[str]:
        found = (await ask(self.tokens[agent], path, request("tools/list")))[1]["result"]["tools"]
        return [tool["name"] for tool in found]

    async def change(self, **fields: object) -> None:
        await sync_to_async(servers.change)(self.ada, self.server.pk, None, **fields)


@pytest.fixture
async def house() -> House:
    return await sync_to_async(House)()


@pytest.fixture
async def started(house: House) -> AsyncIterator[Gateway]:
    running = Gateway()
    await running.start()
    yield running
    await running.stop()
    await until(lambda: not children_of(os.getpid()), "all of them have ended")


async def test_each_agent_has_a_process_and_a_folder_of_its_own_everywhere(house: House, started: Gateway) -> None:
    atlas, bruno = await house.call("atlas", "who"), await house.call("bruno", "who")
    await house.call("atlas", "echo")
    by_hub = await house.call("atlas", "who", path="/mcp")

    assert atlas["pid"] != bruno["pid"]
    assert by_hub["pid"] == atlas["pid"]
    assert atlas["cwd"].endswith(house.agents["atlas"].pk)
    assert bruno["cwd"].endswith(house.agents["bruno"].pk)
    mine, others = [(await house.call(name, "counts"))["counts"] for name in ("atlas", "bruno")]
    assert mine != others
    health = await rows(lambda: next((h for h in McpHealth.objects.all() if len(h.children) == 2), None))
    assert {each["agent"] for each in health.children} == {house.agents["atlas"].pk, house.agents["bruno"].pk}


async def test_a_tool_that_changed_in_one_copy_is_refused_there_alone(house: House, started: Gateway) -> None:
    await house.call("atlas", "redescribe", tool="echo", text="Another one.")

    async def refused() -> bool:
        found = await ask(house.tokens["atlas"], "/mcp/files", request("tools/call", name="echo", arguments={}))
        return "error" in found[1]

    async with asyncio.timeout(PATIENCE_S):
        while not await refused():
            await asyncio.sleep(0.05)
    assert (await house.call("bruno", "echo", text="as ever"))["content"][0]["text"] == "as ever"
    for path, name in (("/mcp/files", "echo"), ("/mcp", "files__echo")):
        assert name not in await house.listed("atlas", path)
        assert name in await house.listed("bruno", path)
        assert name in await house.listed("cleo", path)  # who has no copy yet is shown what the server itself offers
    told = str(await house.call("atlas", "list_mcp_servers", path="/mcp", server="files"))
    assert "files__who" in told
    assert "files__echo" not in told


async def test_a_copy_that_starts_with_less_than_the_server_itself_lists_less(house: House, started: Gateway) -> None:
    def is_ready() -> bool:
        found = started.fleet.get(house.server.pk)
        return found is not None and found.state == "ready"

    await until(is_ready, "the server itself runs")
    shared = started.fleet.get(house.server.pk)
    assert shared is not None
    # What the server itself offers besides is accepted, and the copy never has it.
    await sync_to_async(McpPin.objects.create)(
        server=house.server, tool="extra", state="accepted", definition={"name": "extra"}, digest=pinning.digest({"name": "extra"})
    )  # fmt: skip
    shared.known.offers([*shared.known.tools, {"name": "extra"}], shared.known.prompts)
    async with asyncio.timeout(PATIENCE_S):
        while "extra" not in await house.listed("atlas", "/mcp/files"):
            await asyncio.sleep(0.05)

    await house.call("atlas", "echo")

    assert "extra" not in await house.listed("atlas", "/mcp/files")
    assert "files__extra" not in await house.listed("atlas", "/mcp")
    assert "extra" in await house.listed("cleo", "/mcp/files")


async def test_the_one_idle_longest_makes_room_and_a_busy_one_does_not(
    house: House, started: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_children, "JUST_NOW_S", 0.0)
    first = await house.call("atlas", "who")
    await house.call("bruno", "who")
    hanging = [asyncio.ensure_future(house.call(name, "hang")) for name in ("atlas", "bruno")]
    pool = started.fleet._copies[house.server.pk]
    await until(lambda: all(each.is_busy for each in pool._copies.values()), "both are busy")

    full = await house.call("cleo", "echo")
    for each in hanging:
        each.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    await until(lambda: not any(each.is_busy for each in pool._copies.values()), "neither is")
    await house.call("bruno", "echo")
    served = await house.call("cleo", "echo", text="hello")
    again = await house.call("atlas", "who")

    assert full["isError"]
    assert "All 2 copies of the MCP server files are in use by other agents" in full["content"][0]["text"]
    assert served["content"][0]["text"] == "hello"
    assert again["pid"] != first["pid"]
    assert len(pool) == 2


async def test_an_idle_copy_and_one_whose_agent_lost_its_access_end(house: House, started: Gateway) -> None:
    await house.call("atlas", "echo")
    await house.call("bruno", "echo")
    pool = started.fleet._copies[house.server.pk]

    await sync_to_async(access.revoke)(house.alice, house.access["bruno"].pk)
    await until(lambda: len(pool) == 1, "bruno's is gone")
    pool._idle_s = 0.0
    await until(lambda: len(pool) == 0, "atlas's is gone")

    await until(lambda: len(children_of(os.getpid())) == 1, "their processes have ended")
    await rows(lambda: McpHealth.objects.get().children == [])
    pool._idle_s = 600.0
    assert (await house.call("atlas", "echo", text="new"))["content"][0]["text"] == "new"


async def test_a_stop_of_one_agent_ends_its_copy_alone_and_one_of_everything_ends_all(
    house: House, started: Gateway
) -> None:
    await house.call("atlas", "echo")
    await house.call("bruno", "echo")
    pool = started.fleet._copies[house.server.pk]

    halt = await sync_to_async(halting.stop)(house.ada, "agent", house.agents["atlas"].pk, "Look first")
    await until(lambda: set(pool._copies) == {house.agents["bruno"].pk}, "atlas's is gone")
    refused = await house.call("atlas", "echo")
    left = set(pool._copies)
    await sync_to_async(halting.stop)(house.ada, "everything", "", "All of it")
    await until(lambda: len(pool) == 0, "all are gone")

    assert "is stopped: Look first." in refused["content"][0]["text"]
    assert left == {house.agents["bruno"].pk}, "it was not started to be refused"
    assert halt is not None
    assert started.fleet.get(house.server.pk) is not None, "the process of everybody stays"


async def test_many_copies_come_and_go_and_leave_nothing(
    house: House, started: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_children, "JUST_NOW_S", 0.0)
    await house.change(max_children=1)

    def is_known() -> bool:
        now = started.fleet._copies.get(house.server.pk)
        return now is not None and now._most == 1

    await until(is_known, "the gateway knows")
    for name in ("atlas", "bruno"):
        await house.call(name, "echo")
    before = held()

    for _ in range(6):
        for name in ("atlas", "bruno"):
            assert (await house.call(name, "echo", text=name))["content"][0]["text"] == name

    await until(lambda: len(children_of(os.getpid())) == 2, "one for everybody and one copy")
    await nothing_more(before, "and nothing else")


def test_people_see_the_copies_of_agents_they_see() -> None:
    house = House()
    children = [
        {"agent": agent.pk, "state": "ready", "reason": "", "starts": 1, "errors": f"said to {name}"}
        for name, agent in house.agents.items()
    ]
    McpHealth.objects.update(children=children)
    server = servers.rows().get()
    address = f"mcp-servers/{server.pk}/copies"

    assert [each.agent.name for each in copies.of(house.bob, server)] == ["cleo"]
    assert [each["agent"] for each in Program(house.alice).get(address)["items"]] == ["atlas", "bruno"]
    assert {each["errors"] for each in Program(house.alice).get(address)["items"]} == {""}
    assert Program(house.ada).get(address)["items"][0]["errors"] == "said to atlas"
    assert "cleo" not in str(Program(house.alice).get(address))
