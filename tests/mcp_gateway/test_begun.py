"""Calls that may have an effect are written down before they are made, and told of when Logos was killed meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings

from mcp_gateway import calls, gateway, ids, journal
from mcp_gateway.gateway import Gateway
from mcp_gateway.models import McpCall
from sandboxes import claimants
from tests.mcp_gateway.test_gateway import House, call, rows

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def house() -> House:
    return await sync_to_async(House)()


@pytest.fixture
async def started(house: House) -> AsyncIterator[Gateway]:
    running = Gateway()
    await running.start()
    yield running
    await running.stop()


async def test_a_call_that_goes_on_is_a_row_before_it_has_ended(house: House, started: Gateway) -> None:
    assert "isError" not in (await call(house.secret, "echo"))["result"]
    calling = asyncio.ensure_future(call(house.secret, "slow", seconds=600))

    row = await rows(lambda: McpCall.objects.filter(tool="slow").first())
    assert (row.outcome, row.duration_ms) == ("started", 0)
    assert row.arguments_digest == calls.fingerprint({"seconds": 600})
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    ended = await rows(lambda: McpCall.objects.filter(tool="slow", outcome="cancelled").first())
    assert ended.pk == row.pk
    assert await sync_to_async(McpCall.objects.filter(tool="slow").count)() == 1


async def test_what_a_killed_gateway_had_begun_is_said_to_be_unknown(house: House) -> None:
    dead = journal.Journal(settings.LOGOS_HOME / gateway.BEGUN, f"{claimants.host()}:999999999:1")
    record = calls.Record(house.agent.pk, house.server.pk, "files", "tools/call", "pay", "started", arguments={"a": 1})
    done = replace(record, id=ids.call_id(), tool="ask")
    dead.begin(record)
    dead.begin(done)
    await sync_to_async(calls.store)([replace(done, outcome="ok")])
    running = Gateway()
    await running.start()
    try:
        found = await sync_to_async(lambda: {each.tool: each for each in McpCall.objects.all()})()
        assert (found["pay"].outcome, found["pay"].reason) == ("unknown", calls.INTERRUPTED)
        assert found["pay"].arguments_digest == calls.fingerprint({"a": 1})
        assert found["ask"].outcome == "ok"
        assert not [each for each in (settings.LOGOS_HOME / gateway.BEGUN).iterdir() if "999999999" in each.name]
    finally:
        await running.stop()


async def test_what_cannot_be_written_down_is_not_done_and_what_only_reads_goes_on(
    house: House, started: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (await call(house.secret, "counts"))["result"]["counts"].get("echo", 0)
    monkeypatch.setattr(journal.os, "write", lambda fd, line: 3)
    refused = await call(house.secret, "echo")
    monkeypatch.undo()
    after = (await call(house.secret, "counts"))["result"]["counts"].get("echo", 0)

    assert journal.UNRECORDED in refused["result"]["content"][0]["text"]
    assert after == before
    assert await rows(lambda: McpCall.objects.filter(tool="echo", outcome="denied").first())
    assert not journal.may_have_an_effect({"annotations": {"readOnlyHint": True}})
    assert all(map(journal.may_have_an_effect, ({}, {"annotations": {"readOnlyHint": "yes"}}, {"annotations": None})))


def test_the_journal_stays_small_and_survives_lines_that_were_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MAX_BYTES", 5_000)
    name = f"{claimants.host()}:999999998:1"
    kept = journal.Journal(tmp_path, name)
    house = House()
    first = calls.Record(house.agent.pk, house.server.pk, "files", "tools/call", "first", "started")
    kept.begin(first)
    for _ in range(100):
        each = replace(first, id=ids.call_id(), tool="more")
        kept.begin(each)
        kept.stored([each.id])
    (path,) = tmp_path.iterdir()
    assert path.stat().st_size < 6_000
    assert path.stat().st_mode & 0o077 == 0
    with path.open("ab") as file:
        file.write(b'{"agent_id": "cut o')
    kept.begin(replace(first, id=ids.call_id(), tool="last"))

    assert journal.recover(tmp_path) > 1
    assert {"first", "last"} <= set(McpCall.objects.filter(outcome="unknown").values_list("tool", flat=True))
    assert not list(tmp_path.iterdir())
    kept.stored([first.id])
    other = journal.Journal(tmp_path / "other", name)
    other.begin(first)
    other.stored([first.id])
    other.close()
    assert not list((tmp_path / "other").iterdir())
