"""A row without a word about walls is a server in a sandbox of its own, and everything a gateway does works with it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings

from agents import composition, souls
from agents.models import Role
from mcp_gateway import access, boxes, servers
from mcp_gateway.gateway import Gateway
from mcp_gateway.models import McpCall, McpHealth
from tests.conftest import person
from tests.mcp_gateway.boxing import EVERYTHING
from tests.mcp_gateway.gate import until
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
