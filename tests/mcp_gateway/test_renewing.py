"""Tokens of accounts in use: renewed once however many ask, lost once, never seen, and each agent with its owner's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from agents import composition, souls
from agents.models import Agent, Role, SecurityEvent, User
from mcp_gateway import access, servers
from mcp_gateway.gateway import Gateway
from mcp_gateway.models import McpAccount, McpHealth, McpServer
from mcp_gateway.oauth import accounts, connecting, renewing
from mcp_gateway.oauth.renewing import Accounts
from mcp_gateway.peers import Gone, NeedsAccount
from runs.threads import DatabaseThreads
from tests.conftest import person
from tests.mcp_gateway.gate import request
from tests.mcp_gateway.sign_in import SignIn, a_sign_in
from tests.mcp_gateway.test_gateway import ask, rows

pytestmark = pytest.mark.django_db(transaction=True)
BASE = "http://testserver"


class House:
    """Ada's server ``tickets`` behind a sign-in; Alice and Bob with an agent each that may use it."""

    def __init__(self, sign_in: SignIn, account: str) -> None:
        self.sign_in = sign_in
        self.ada, self.alice, self.bob = person("ada", Role.ADMIN), person("alice"), person("bob")
        self.server = servers.create(
            self.ada,
            "tickets",
            kind="http",
            url=f"{sign_in.base}/mcp",
            allows_private=True,
            account=account,
            visibility="shared",
        )
        soul = souls.create("Soul", "Text.", self.alice)
        self.atlas = self._agent(self.alice, "atlas", soul)
        self.bruno = self._agent(self.bob, "bruno", souls.create("Other", "Text.", self.bob))
        self.atlas_token = access.make_token(self.alice, self.atlas.pk, "editor")[1]
        self.bruno_token = access.make_token(self.bob, self.bruno.pk, "editor")[1]

    def _agent(self, owner: User, name: str, soul: Any) -> Agent:
        agent = composition.create(owner, name, soul)
        access.give(owner, agent.pk, self.server.pk)
        return agent

    def connect(self, user: User) -> McpAccount:
        session: dict[str, Any] = {}
        leaving = connecting.begin(user, self.server.pk, BASE, session)
        return connecting.finish(user, self.sign_in.allow(leaving.url), session)


@pytest.fixture
def sign_in() -> Iterator[SignIn]:
    with a_sign_in() as made:
        yield made


@pytest.fixture
async def threads() -> AsyncIterator[DatabaseThreads]:
    made = DatabaseThreads(4, "accounts-db")
    yield made
    await asyncio.to_thread(made.close)


async def house_with(sign_in: SignIn, account: str = "shared") -> House:
    return await sync_to_async(House)(sign_in, account)


async def connected(house: House, user: User) -> McpAccount:
    return await sync_to_async(house.connect)(user)


async def age(account: McpAccount, seconds: float = -1.0) -> None:
    """The token ends in so many seconds."""
    ends = timezone.now() + timedelta(seconds=seconds)
    await sync_to_async(McpAccount.objects.filter(pk=account.pk).update)(expires_at=ends)


async def call(secret: str, tool: str = "echo", **arguments: Any) -> Any:
    message = request("tools/call", name=tool, arguments=arguments)
    return (await ask(secret, "/mcp/tickets", message))[1]["result"]


async def test_twenty_who_ask_at_once_in_two_processes_renew_once(sign_in: SignIn, threads: DatabaseThreads) -> None:
    sign_in.refresh_delay_s = 0.5
    house = await house_with(sign_in)
    account = await connected(house, house.ada)
    await age(account)
    # What keeps two processes apart is in the rows; nothing of these two knows of the other.
    both = [Accounts(house.server.pk, threads.run) for _ in range(2)]

    found = await asyncio.gather(*(each("", None) for each in both for _ in range(10)))

    assert sign_in.refreshed() == 1
    assert len({each.bearer for each in found}) == 1
    assert found[0].bearer in (sign_in.server.bearers or ())
    kept = await McpAccount.objects.aget()
    assert (kept.version, kept.claim, kept.claimed_until) == (account.version + 1, "", None)
    assert kept.refreshed_at is not None


async def test_a_token_is_renewed_ahead_of_its_end(sign_in: SignIn, threads: DatabaseThreads) -> None:
    house = await house_with(sign_in)
    account = await connected(house, house.ada)
    before = (await Accounts(house.server.pk, threads.run)("", None)).bearer
    assert sign_in.refreshed() == 0
    await age(account, 30)
    assert (await Accounts(house.server.pk, threads.run)("", None)).bearer != before
    assert sign_in.refreshed() == 1


async def test_a_claim_of_who_died_is_taken_over(sign_in: SignIn, threads: DatabaseThreads) -> None:
    house = await house_with(sign_in)
    account = await connected(house, house.ada)
    await age(account)
    ended = timezone.now() - timedelta(seconds=1)
    await sync_to_async(McpAccount.objects.update)(claim="of the dead", claimed_until=ended)
    await Accounts(house.server.pk, threads.run)("", None)
    assert sign_in.refreshed() == 1


async def test_what_a_claim_that_was_taken_over_brings_is_not_kept(sign_in: SignIn) -> None:
    house = await house_with(sign_in)
    account = await connected(house, house.ada)

    def late() -> None:
        assert renewing.take_claim(account.pk, account.version, "mine")
        assert not renewing.take_claim(account.pk, account.version, "another")
        house.connect(house.ada)
        renewing.keep(account.pk, "mine", renewing.metadata.Tokens("late", "late"))

    await sync_to_async(late)()
    kept = await sync_to_async(renewing.read)(house.server.pk, "")
    assert isinstance(kept, renewing.Held)
    assert kept.access != "late"


async def test_an_account_that_is_not_renewed_any_more_is_lost_once_and_forgotten(
    sign_in: SignIn, threads: DatabaseThreads, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    house = await house_with(sign_in)
    account = await connected(house, house.ada)
    await age(account)
    sign_in.refreshes.clear()
    both = [Accounts(house.server.pk, threads.run) for _ in range(2)]

    found = await asyncio.gather(*(each("", None) for each in both for _ in range(5)), return_exceptions=True)

    assert all(isinstance(each, NeedsAccount) for each in found), found
    assert sign_in.refreshed() == 1
    kept = await McpAccount.objects.aget()
    assert (kept.sealed_access, kept.sealed_refresh, kept.is_connected) == ("", "", False)
    assert "invalid_grant" in kept.reason
    assert await SecurityEvent.objects.filter(kind="mcp_account_lost").acount() == 1
    assert "access-token" not in caplog.text
    assert "refresh-token" not in caplog.text


async def test_a_sign_in_that_is_away_costs_no_account(sign_in: SignIn, threads: DatabaseThreads) -> None:
    house = await house_with(sign_in)
    account = await connected(house, house.ada)
    sign_in.refuses["/token"] = (503, {})
    await age(account, 30)
    assert (await Accounts(house.server.pk, threads.run)("", None)).bearer  # good for another half minute
    await age(account)
    with pytest.raises(Gone, match="could not be renewed"):
        await Accounts(house.server.pk, threads.run)("", None)
    sign_in.refuses.clear()
    assert (await Accounts(house.server.pk, threads.run)("", None)).bearer
    assert (await McpAccount.objects.aget()).is_connected


async def test_a_token_without_a_way_to_renew_it_is_used_to_its_end(sign_in: SignIn, threads: DatabaseThreads) -> None:
    house = await house_with(sign_in)
    account = await connected(house, house.ada)
    await sync_to_async(McpAccount.objects.update)(sealed_refresh="")
    await age(account, 30)
    assert (await Accounts(house.server.pk, threads.run)("", None)).bearer
    await age(account)
    with pytest.raises(NeedsAccount, match="token has ended"):
        await Accounts(house.server.pk, threads.run)("", None)


async def test_a_server_waits_for_its_account_and_is_ready_once_it_is_connected(sign_in: SignIn) -> None:
    house = await house_with(sign_in)
    running = Gateway()
    await running.start()
    try:
        await rows(lambda: McpHealth.objects.filter(state="needs_auth").first())
        assert "Nobody has connected an account" in str(await call(house.atlas_token, text="early"))

        await connected(house, house.ada)

        await rows(lambda: McpHealth.objects.filter(state="ready").first())
        assert (await call(house.atlas_token, text="fine"))["content"][0]["text"] == "fine"
        shown = await call(house.atlas_token, "headers")
        assert "access-token" not in str(shown)
        assert "••••••" in str(shown)

        # The server takes the token away: it is renewed, and the call made once.
        assert sign_in.server.bearers is not None
        sign_in.server.bearers.clear()
        calls = len(sign_in.server.asked("tools/call"))
        assert (await call(house.atlas_token, text="again"))["content"][0]["text"] == "again"
        assert sign_in.refreshed() == 1
        assert len(sign_in.server.asked("tools/call")) == calls + 2  # one of them was refused

        await sync_to_async(accounts.disconnect)(house.ada, house.server.pk)
        await rows(lambda: McpHealth.objects.filter(state="needs_auth").first())
        assert (await call(house.atlas_token, text="late"))["isError"]
    finally:
        await running.stop()


async def test_each_agent_works_with_the_account_of_its_owner(sign_in: SignIn) -> None:
    house = await house_with(sign_in, "person")
    running = Gateway()
    await running.start()
    try:
        mine = await connected(house, house.alice)
        await rows(lambda: McpHealth.objects.filter(state="ready").first())

        assert (await call(house.atlas_token, text="mine"))["content"][0]["text"] == "mine"
        refused = await call(house.bruno_token, text="not mine")
        assert refused["isError"]
        assert "owner of this agent has connected no account" in refused["content"][0]["text"]

        theirs = await connected(house, house.bob)
        held = {
            each: await sync_to_async(renewing.read)(house.server.pk, each) for each in (house.atlas.pk, house.bruno.pk)
        }
        assert [held[house.atlas.pk].id, held[house.bruno.pk].id] == [mine.pk, theirs.pk]

        async def until_answered() -> bool:
            return "isError" not in await call(house.bruno_token, text="theirs")

        async with asyncio.timeout(60):
            while not await until_answered():
                await asyncio.sleep(0.1)
        shown = [headers["Authorization"] for headers in sign_in.server.asked("tools/call")]
        assert f"Bearer {held[house.atlas.pk].access}" in shown
        assert f"Bearer {held[house.bruno.pk].access}" in shown
        sessions = {
            headers["Authorization"]: headers["Mcp-Session-Id"] for headers in sign_in.server.asked("tools/call")
        }
        assert len(set(sessions.values())) == 2  # a session each

        await sync_to_async(accounts.disconnect)(house.bob, house.server.pk)
        async with asyncio.timeout(60):
            while "isError" not in await call(house.bruno_token, text="late"):
                await asyncio.sleep(0.1)
        assert (await call(house.atlas_token, text="still"))["content"][0]["text"] == "still"
    finally:
        await running.stop()


async def test_a_person_who_is_gone_lends_nobody_their_account(sign_in: SignIn) -> None:
    house = await house_with(sign_in, "person")
    await connected(house, house.alice)
    await sync_to_async(User.objects.filter(pk=house.alice.pk).update)(is_active=False)
    assert isinstance(await sync_to_async(renewing.read)(house.server.pk, house.atlas.pk), str)
    assert isinstance(await sync_to_async(renewing.read)(house.server.pk, ""), str)


async def test_a_token_does_not_go_to_another_address(sign_in: SignIn) -> None:
    house = await house_with(sign_in)
    await connected(house, house.ada)
    moved = McpServer.objects.filter(pk=house.server.pk)
    await sync_to_async(moved.update)(url="https://evil.example.org/mcp")
    found = await sync_to_async(renewing.read)(house.server.pk, "")
    assert found == "Its account was connected at another address: connect it again."
