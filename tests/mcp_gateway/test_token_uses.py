"""When a token was last used: seen by people, written at most once a minute, never in the way of a call."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import Client

from mcp_gateway import access, token_uses
from mcp_gateway.gateway import Gateway
from mcp_gateway.models import McpToken
from mcp_gateway.token_uses import TokenUses
from tests.api_client import Program
from tests.mcp_gateway.gate import request
from tests.mcp_gateway.test_gateway import House, ask, house, rows, started

__all__ = ["house", "started"]

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_a_token_is_due_at_once_and_then_once_a_minute() -> None:
    uses = TokenUses()
    assert uses.due(NOON) == []

    uses.note(1)
    assert uses.due(NOON) == [1]
    uses.note(1)
    uses.note(2)
    assert uses.due(NOON + timedelta(seconds=59)) == [2]
    assert uses.due(NOON + timedelta(seconds=60)) == [1]
    assert uses.due(NOON + timedelta(hours=1)) == []


def test_what_could_not_be_written_is_due_again() -> None:
    uses = TokenUses()
    uses.note(1)
    uses.forget(uses.due(NOON))

    assert uses.due(NOON) == [1]


@pytest.mark.django_db
def test_of_two_processes_the_later_use_stays() -> None:
    token = House().token
    for at in (NOON, NOON - timedelta(minutes=5), NOON + timedelta(minutes=1)):
        token_uses.write([token.pk], at)

    assert McpToken.objects.get().last_used_at == NOON + timedelta(minutes=1)


@pytest.mark.django_db(transaction=True)
async def test_people_see_that_a_token_was_used(house: House, started: Gateway, run_command: Any) -> None:
    other, _ = await sync_to_async(access.make_token)(house.alice, house.agent.pk, "never touched")
    assert (await ask("logos_mcp_nobodys", "/mcp", request("ping")))[0] == 401
    assert (await ask(house.secret, "/mcp", request("ping")))[0] == 200
    await rows(lambda: McpToken.objects.filter(pk=house.token.pk).exclude(last_used_at=None).exists())

    def look() -> None:
        listed = Program(house.alice).get(f"agents/{house.agent.pk}/mcp-tokens")["items"]
        assert {each["name"]: each["last_used_at"] is not None for each in listed} == {
            "editor": True,
            "never touched": False,
        }
        client = Client()
        client.force_login(house.alice)
        page = client.get(f"/agents/{house.agent.pk}/outside/").content.decode()
        assert page.count("last used") == 1
        assert page.count("never used") == 1
        assert "LAST USED" in run_command("mcp", "tokens", "atlas", "--user", "alice")

    await sync_to_async(look)()
    assert other.last_used_at is None
