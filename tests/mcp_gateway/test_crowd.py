"""A crowd at the gateway's own port: everybody gets their own answer, and every call is a row of whoever made it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from urllib.parse import quote

import aiohttp
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings

from agents import composition, souls
from mcp_gateway import access, calls, recording
from mcp_gateway.gateway import BEGUN, Gateway
from mcp_gateway.journal import SUFFIX
from mcp_gateway.models import McpCall
from tests.mcp_gateway.gate import PATIENCE_S, request, usual
from tests.mcp_gateway.test_gateway import House

pytestmark = pytest.mark.django_db(transaction=True)

CLIENTS, ROUNDS = 64, 5


def another_agent(house: House) -> tuple[str, str]:
    """Bruno of Alice, with the same server; his id and the secret of his token."""
    bruno = composition.create(house.alice, "bruno", souls.create("Another soul", "Text.", house.alice))
    access.give(house.alice, bruno.pk, house.server.pk, reason="Files too")
    return bruno.pk, access.make_token(house.alice, bruno.pk, "editor")[1]


async def test_64_clients_of_two_agents_with_the_same_ids_get_their_own_answers_and_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recording, "BATCH", 30)
    house = await sync_to_async(House)()
    bruno, secret = await sync_to_async(another_agent)(house)
    secrets = {house.agent.pk: house.secret, bruno: secret}
    running = Gateway()
    await running.start()
    await running.own_port.open("127.0.0.1", 0, running.public)
    url = f"{running.own_port.address('localhost')}/files"
    made: dict[str, Counter[str]] = {agent: Counter() for agent in secrets}

    async def client(number: int) -> None:
        chance, agent = random.Random(number), list(secrets)[number % 2]
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S * 2)) as http:
            for turn in range(ROUNDS):
                id, words = chance.choice([1, "1", 2, "2"]), f"{number}-{turn}"
                message = request("tools/call", id, name="echo", arguments={"text": words})
                async with http.post(url, json=message, headers=usual(secrets[agent])) as answer:
                    found = await answer.json()
                assert (found["id"], type(found["id"])) == (id, type(id))
                assert found["result"]["content"][0]["text"] == words
                made[agent][calls.fingerprint({"text": words})] += 1

    try:
        await asyncio.wait_for(asyncio.gather(*map(client, range(CLIENTS))), PATIENCE_S * 4)
    finally:
        await running.stop()

    for agent, wanted in made.items():
        rows = McpCall.objects.filter(agent_id=agent, outcome="ok").values_list("arguments_digest", flat=True)
        assert Counter(await sync_to_async(list)(rows)) == wanted
        assert wanted.total() == CLIENTS * ROUNDS // 2
    assert await sync_to_async(McpCall.objects.exclude(outcome="ok").count)() == 0
    # Each was written down before it was made, and nothing is left of that.
    assert not (settings.LOGOS_HOME / BEGUN / f"{quote(running.owner, safe='')}{SUFFIX}").exists()
