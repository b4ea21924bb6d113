"""Calls that people hear of: told afterwards, never made unwritten, counted across a restart."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.test import Client

from mcp_gateway import rates
from mcp_gateway.gateway import Gateway
from mcp_gateway.judging import Judge
from mcp_gateway.models import McpCall
from mcp_gateway.rates import Before
from runs import noticed
from sandboxes.models import Sandbox
from sandboxes.tool_server import deciding, records
from sandboxes.tool_server.models import ToolCall
from sandboxes.tool_server.telling import tool_noticed
from tests.conftest import person
from tests.mcp_gateway.gate import request, until
from tests.mcp_gateway.test_gateway import House, ask, call, house, rows, started
from tests.mcp_gateway.test_held_calls import made, rule, text

__all__ = ["house", "started"]

pytestmark = pytest.mark.django_db(transaction=True)

db = sync_to_async


async def test_a_call_under_allow_and_tell_is_made_and_people_hear_of_it(house: House, started: Gateway) -> None:
    await rule(house, started, "notify")
    heard: list[ToolCall] = []

    def listen(call: ToolCall, **rest: Any) -> None:
        heard.append(call)

    tool_noticed.connect(listen)
    try:
        answer = await call(house.secret, "echo", text="told")
    finally:
        tool_noticed.disconnect(listen)

    assert text(answer) == "told"
    assert await made(house) == 1
    row = await rows(lambda: ToolCall.objects.filter(state="done").first())
    assert (row.tool, row.tier, row.door, row.arguments) == ("mcp:files.echo", "notify", "mcp", {"text": "told"})
    assert [each.pk for each in heard] == [row.pk]
    kept = await rows(lambda: McpCall.objects.filter(tool="echo", outcome="ok").first())
    assert (kept.decision, kept.outcome) == ("notify", "ok")
    assert "the site for mcp:files.echo" in kept.reason

    def look() -> None:
        assert list(noticed.seen_by(house.alice)) == [row]
        assert not noticed.seen_by(person("mallory")).exists()
        client = Client()
        client.force_login(house.alice)
        assert "mcp:files.echo" in client.get("/approvals/").content.decode()

    await db(look)()


async def test_a_told_call_that_fails_is_told_too_and_stands_in_its_run(house: House, started: Gateway) -> None:
    await rule(house, started, "notify", tool="mcp:files.test_error_handling")
    box = await db(Sandbox.objects.create)(agent=house.agent, number=1)
    started.run_named = lambda sandbox_id, name: "run_1"
    await until(lambda: box.pk in started.book.sandboxes, "the gateway knows")
    sent = request("tools/call", name="test_error_handling", arguments={})
    answer = (await ask("", "/mcp/files", sent, started.for_sandbox(box.pk)))[1]

    assert answer["result"]["isError"]
    row = await rows(lambda: ToolCall.objects.filter(state="failed").first())
    assert (row.run_id, row.tier, row.is_error) == ("run_1", "notify", True)


@pytest.mark.parametrize("tier", ["notify", "ask"])
async def test_while_the_database_is_away_nothing_is_done_that_people_should_hear_of(
    house: House, started: Gateway, monkeypatch: pytest.MonkeyPatch, tier: str
) -> None:
    await rule(house, started, tier)
    assert "isError" not in (await call(house.secret, "who"))["result"]

    def away(*args: Any, **more: Any) -> None:
        raise OperationalError("the database is away")

    with monkeypatch.context() as broken:
        for function in ("records.begin", "records.finish"):
            broken.setattr(f"sandboxes.tool_server.{function}", away)
        for function in ("store", "begin"):
            broken.setattr(f"mcp_gateway.calls.{function}", away)
        refused = await call(house.secret, "echo", text="one")
        free = await call(house.secret, "who")

        assert "cannot record calls just now" in text(refused)
        assert "isError" not in free["result"]
        assert await made(house) == 0
    # What was not above "allow" has its record as soon as it can be written.
    assert await rows(lambda: McpCall.objects.filter(tool="who", outcome="ok").count() == 2)
    assert await rows(lambda: McpCall.objects.filter(tool="echo", outcome="denied").count() == 1)
    assert not await db(ToolCall.objects.exists)()


async def test_a_database_that_leaves_in_the_middle_keeps_nobody_from_the_answer(
    house: House, started: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rule(house, started, "notify")
    monkeypatch.setattr("mcp_gateway.holding.TRY_S", 0.02)
    finish, left = records.finish, [3]

    def sometimes(*args: Any) -> None:
        if left[0]:
            left[0] -= 1
            raise OperationalError("the database is away")
        finish(*args)

    monkeypatch.setattr("sandboxes.tool_server.records.finish", sometimes)

    assert text(await call(house.secret, "echo", text="one")) == "one"
    assert await rows(lambda: ToolCall.objects.filter(state="done", tier="notify").count() == 1)
    assert await made(house) == 1


async def test_rates_go_on_counting_after_a_restart(
    house: House, started: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_gateway.patience.HOLD_S", 0.1)
    await rule(house, started, "allow", per_hour=1)
    assert text(await call(house.secret, "echo", text="one")) == "one"
    await rows(lambda: McpCall.objects.filter(tool="echo").exists())
    await started.stop()

    another = Gateway()
    await another.start()
    try:
        asked = [await call(house.secret, "echo", text=str(number)) for number in range(4)]
    finally:
        await another.stop()

    # The first of this process is the second of the hour; the fourth is beyond four times the rate.
    assert ["A person was asked" in text(each) for each in asked] == [True, True, True, False]
    assert "four times its rate" in text(asked[3])


@pytest.mark.django_db
def test_without_a_rate_nothing_is_read_for_it(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert rates.lately() == []


def test_what_was_remembered_grows_old_and_is_not_counted_twice() -> None:
    at = [10_000.0]
    judge = Judge(lambda: at[0])
    limited = [deciding.Rule("r", "site", "mcp:files.echo", "allow", per_minute=2, per_hour=4)]

    class Served:
        name, calls = "files", "allow"

    def tier() -> str:
        return str(judge.judge("a", Served(), "echo", {}, limited).tier)  # type: ignore[arg-type]

    judge.remember([Before("a", "mcp:files.echo", 3_000.0, 2), Before("a", "mcp:files.echo", 30.0, 1)])
    assert tier() == "allow"  # 2 in the minute, 4 in the hour
    judge.remember([Before("a", "mcp:files.echo", 10.0, 50)])
    assert tier() == "ask"
    at[0] += 61
    assert tier() == "ask"  # 1 in the minute, 6 in the hour
    at[0] += 3_601
    assert tier() == "allow"
