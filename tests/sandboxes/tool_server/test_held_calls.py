"""Calls that wait for a person: held, taken up by the same call again, executed at most once."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection

from agents.models import Agent, User
from sandboxes.models import Sandbox
from sandboxes.tool_server import asking, calls, records, rules
from sandboxes.tool_server.calls import Answer
from sandboxes.tool_server.models import CallState, ToolCall
from sandboxes.tool_server.records import Caller
from tests.sandboxes.tool_server.conftest import PROGRAM, Call, PretendDesk

pytestmark = [pytest.mark.sandbox, pytest.mark.django_db(transaction=True)]

LINE = "echo once >> log"


def lines(space: Path) -> int:
    log = space / "log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_an_approval_alone_runs_nothing_and_the_same_call_again_runs_it_once(
    call: Call, space: Path, desk: PretendDesk
) -> None:
    first = call("process.run", command=LINE)
    second = call("process.run", command=LINE)
    desk.state = "allowed"
    before = lines(space)
    third = call("process.run", command=LINE)

    assert (first.state, second.state) == (CallState.WAITING, CallState.WAITING)
    assert first.call_id == second.call_id == third.call_id
    assert first.approval_id in first.outcome.text
    assert before == 0
    assert not third.outcome.is_error
    assert lines(space) == 1
    assert len(desk.asked) == 1
    assert desk.asked[0].subject["arguments"]["command"] == LINE
    desk.state = "pending"
    again = call("process.run", command=LINE)
    assert again.state == CallState.WAITING
    assert again.call_id != first.call_id
    assert len(desk.asked) == 2


def test_other_arguments_are_another_call(call: Call, space: Path, desk: PretendDesk) -> None:
    call("process.run", command=LINE)
    desk.state = "allowed"
    desk.ask = lambda question: asking.Word("appr_other", "pending")  # type: ignore[method-assign]
    desk.look = lambda approval: asking.Word(approval, "pending")  # type: ignore[method-assign]

    other = call("process.run", command=LINE + " ")
    elsewhere = call("process.run", command=LINE, caller=Caller("program", "run_other"))

    assert (other.state, elsewhere.state) == (CallState.WAITING, CallState.WAITING)
    assert ToolCall.objects.count() == 3
    assert lines(space) == 0


def test_who_waits_is_answered_when_it_is_decided(
    atlas: Agent, call: Call, space: Path, desk: PretendDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, waiting = calls._held, []

    async def held(*given: Any) -> Answer | None:
        waiting.append(given)
        return await hold(*given)

    monkeypatch.setattr(calls, "_held", held)

    async def both() -> list[Answer]:
        given = {"command": LINE}
        held = [asyncio.create_task(calls.call(atlas.pk, "process.run", given, PROGRAM, hold_s=60)) for _ in range(3)]
        while len(waiting) < 3:
            await asyncio.sleep(0.05)
        desk.state = "allowed"
        return list(await asyncio.gather(*held))

    answers = async_to_sync(both)()

    assert lines(space) == 1
    assert sorted(answer.outcome.is_error for answer in answers) == [False, True, True]
    assert len(desk.asked) == 1


def test_denied_is_said_with_the_reason_and_not_asked_again_at_once(call: Call, space: Path, desk: PretendDesk) -> None:
    call("process.run", command=LINE)
    desk.state, desk.note = "denied", "Not on a Sunday."

    denied = call("process.run", command=LINE)
    again = call("process.run", command=LINE)

    assert denied.state == CallState.DENIED
    assert "Not on a Sunday." in denied.outcome.text
    assert again.state == CallState.REFUSED
    assert "Not on a Sunday." in again.outcome.text
    assert len(desk.asked) == 1
    assert lines(space) == 0


def test_expired_is_not_denied_and_may_be_asked_again(call: Call, space: Path, desk: PretendDesk) -> None:
    call("process.run", command=LINE)
    desk.state = "expired"

    expired = call("process.run", command=LINE)
    desk.state = "pending"
    again = call("process.run", command=LINE)

    assert expired.state == CallState.EXPIRED
    assert again.state == CallState.WAITING
    assert len(desk.asked) == 2


def test_an_approval_under_other_rules_is_worth_nothing(
    ada: User, atlas: Agent, call: Call, space: Path, desk: PretendDesk
) -> None:
    waiting = call("process.run", command=LINE)
    rules.put(ada, atlas, tool="git.push", tier="block")
    desk.state = "allowed"
    desk.ask = lambda question: asking.Word("appr_new", "pending")  # type: ignore[method-assign]
    desk.look = lambda approval: asking.Word(approval, "pending" if approval == "appr_new" else "allowed")  # type: ignore[method-assign]

    again = call("process.run", command=LINE)

    assert again.call_id != waiting.call_id
    assert again.state == CallState.WAITING
    assert ToolCall.objects.get(pk=waiting.call_id).state == CallState.EXPIRED
    assert lines(space) == 0


def test_where_nobody_can_be_asked_nothing_is_done(call: Call, space: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_desks", [])

    answer = call("process.run", command=LINE)

    assert answer.state == CallState.REFUSED
    assert "nobody can be asked" in answer.outcome.text
    assert lines(space) == 0


def test_what_was_running_when_logos_was_killed_is_not_done_again(call: Call, space: Path, desk: PretendDesk) -> None:
    waiting = call("process.run", command=LINE)
    assert records.claim(waiting.call_id)
    ToolCall.objects.filter(pk=waiting.call_id).update(claimed_by="elsewhere:1:1")
    ours = records.process_name().rsplit(":", 2)[0]
    ToolCall.objects.filter(pk=waiting.call_id).update(claimed_by=f"{ours}:999999:1.dead")

    assert records.settle_dead() == 1
    again = call("process.run", command=LINE)

    assert ToolCall.objects.get(pk=waiting.call_id).state == CallState.UNKNOWN
    assert again.call_id != waiting.call_id
    assert again.state == CallState.WAITING
    assert lines(space) == 0


def test_a_caller_who_leaves_while_it_runs_ends_it_and_the_record_says_so(
    atlas: Agent, ada: User, call: Call, space: Path
) -> None:
    rules.put(ada, None, tool="process.run", tier="allow", layer="site")

    async def left() -> None:
        task = asyncio.create_task(
            calls.call(atlas.pk, "process.run", {"command": "echo begun > begun; sleep 6666"}, PROGRAM)
        )
        while not (space / "begun").exists():
            await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async_to_sync(left)()

    row = ToolCall.objects.get()
    assert row.state == CallState.FAILED
    assert "given up" in row.error


def test_a_sandbox_that_does_not_run_is_said(atlas: Agent, call: Call, box: Sandbox) -> None:
    Sandbox.objects.update(driver_state={})
    stopped = call("filesystem.list")
    Sandbox.objects.all().delete()
    never = call("filesystem.list")

    assert "not running" in stopped.outcome.text
    assert "not running" in never.outcome.text
    assert [row.state for row in ToolCall.objects.all()] == [CallState.FAILED] * 2


def test_too_often_is_asked_for_and_far_too_often_refused(
    ada: User, atlas: Agent, call: Call, space: Path, desk: PretendDesk
) -> None:
    rules.put(ada, atlas, tool="filesystem.list", tier="allow", per_minute=2)

    states = [call("filesystem.list", limit=number).state for number in range(1, 11)]

    assert states == [*[CallState.DONE] * 2, *[CallState.WAITING] * 6, *[CallState.REFUSED] * 2]


def test_calls_at_once_are_each_counted(atlas: Agent, ada: User, space: Path, desk: PretendDesk) -> None:
    rules.put(ada, atlas, tool="filesystem.list", tier="allow", per_minute=3)

    def one(number: int) -> str:
        try:
            return str(async_to_sync(calls.call)(atlas.pk, "filesystem.list", {"limit": number}, PROGRAM).state)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        states = list(threads.map(one, range(1, 9)))

    assert states.count(CallState.DONE) == 3
    assert states.count(CallState.WAITING) == 5
