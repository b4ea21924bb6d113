"""A row without a word about walls is a server in a sandbox of its own, and everything a gateway does works with it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings

from agents import composition, halting, souls
from agents.models import Role
from mcp_gateway import access, boxes, servers
from mcp_gateway.gateway import Gateway
from mcp_gateway.models import McpCall, McpConnection, McpHealth
from sandboxes.egress import addresses, proxy
from tests.conftest import person
from tests.mcp_gateway.boxing import EVERYTHING
from tests.mcp_gateway.gate import PATIENCE_S, until
from tests.mcp_gateway.test_gateway import call, rows

pytestmark = [pytest.mark.sandbox, pytest.mark.django_db(transaction=True)]


class House:
    """Ada's server ``files``, as somebody who says nothing of walls adds it; Alice's agent may use it."""

    def __init__(self) -> None:
        self.ada, self.alice = person("ada", Role.ADMIN), person("alice")
        self.agent = composition.create(self.alice, "atlas", souls.create("Soul", "Text.", self.alice))
        self.server = servers.create(
            self.ada, "files", "python3", args=["everything.py"], visibility="shared", env={"A": "${A_KEY}"}, enabled=False
        )  # fmt: skip
        servers.put_secret(self.ada, self.server.pk, "A_KEY", "planted-value-9")
        access.give(self.alice, self.agent.pk, self.server.pk, reason="Files")
        _, self.secret = access.make_token(self.alice, self.agent.pk, "editor")
        top = settings.LOGOS_HOME / "mcp"
        self.root = boxes.folder(top, self.server.pk)
        boxes.owner(top, self.root)
        (self.root / "files").mkdir(exist_ok=True)
        shutil.copyfile(EVERYTHING, self.root / "files" / "everything.py")
        (self.root / "files" / "everything.py").chmod(0o644)
        servers.change(self.ada, self.server.pk, None, enabled=True)


@pytest.fixture
async def house() -> House:
    return await sync_to_async(House)()


@pytest.fixture
async def started(house: House) -> AsyncIterator[Gateway]:
    running = Gateway()
    await running.start()
    yield running
    await running.stop()


async def test_a_server_added_without_a_word_runs_behind_walls(house: House, started: Gateway) -> None:
    found = (await call(house.secret, "who"))["result"]
    read = await call(house.secret, "attempt", what="list", where=str(settings.LOGOS_HOME))

    assert found["cwd"] == "/workspace"
    assert found["env"]["A"] != "planted-value-9"  # blotted out of what it says
    assert read["result"]["content"][0]["text"].startswith("refused")
    health = await rows(lambda: McpHealth.objects.filter(state="ready").first())
    assert "seccomp" in health.walls
    assert await rows(lambda: McpCall.objects.filter(tool="attempt", outcome="ok").count()) == 1
    before = started.fleet.get(house.server.pk)
    await sync_to_async(servers.change)(house.ada, house.server.pk, None, hosts=["api.example.org"])
    await until(lambda: started.fleet.get(house.server.pk) not in (before, None), "it is started anew")
    again = await call(house.secret, "attempt", what="proxy", where="evil.example.org:443")
    assert "No rule names evil.example.org" in again["result"]["content"][0]["text"]


async def test_where_it_connects_to_becomes_rows_and_a_stop_of_everything_cuts_it(
    house: House, started: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = await reader.read(100)
        if heard.startswith(b"hello") and service.is_serving():
            arrived.set()
            await reader.read()  # until it is cut

    arrived = asyncio.Event()
    service = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = service.sockets[0].getsockname()[1]

    async def lookup(host: str, port: int) -> list[str]:
        return ["93.184.215.14"]

    async def connect(address: str, number: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", port)

    monkeypatch.setattr(addresses, "system_lookup", lookup)
    monkeypatch.setattr(proxy, "connect_to", connect)
    before = started.fleet.get(house.server.pk)
    await sync_to_async(servers.change)(house.ada, house.server.pk, None, hosts=["api.example.org", "*.example.net"])
    await until(lambda: started.fleet.get(house.server.pk) not in (before, None), "it is started anew")

    await call(house.secret, "attempt", what="proxy", where="evil.example.org:443")
    going = asyncio.ensure_future(call(house.secret, "attempt", what="proxy for long", where="a.example.net:443"))
    async with asyncio.timeout(PATIENCE_S):
        await arrived.wait()
    await sync_to_async(halting.stop)(house.ada, "everything", "", "Look first")
    async with asyncio.timeout(PATIENCE_S):
        await going
    cut = await rows(lambda: McpConnection.objects.filter(host="a.example.net", duration_ms__isnull=False).first())
    refused = await rows(
        lambda: McpConnection.objects.filter(host="evil.example.org", duration_ms__isnull=False).first()
    )

    assert (cut.allowed, cut.reason) == (False, "Cut: Everything is stopped: Look first.")
    assert (cut.server_id, cut.agent_id, cut.sent, cut.address) == (house.server.pk, None, 5, "93.184.215.14")
    assert "python" in cut.binary
    assert (refused.allowed, refused.rule) == (False, "")
    assert not [each for each in started._ways._going if each._going], "nothing goes on"
    service.close()
