"""Calls on their way to rows: all of them get there, and nothing is made that could not be recorded."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.models import Agent
from mcp_gateway import call_rows, calls, recording
from mcp_gateway.calls import Record
from mcp_gateway.models import McpCall
from mcp_gateway.recording import Recorder


class Rows:
    """A database that keeps the ids it was given, in turns of the loop."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.stored: list[str] = []
        self.meanwhile: list[Any] = []

    async def __call__(self, function: Any, records: list[Record]) -> None:
        await asyncio.sleep(0)
        kept = self.stored if function is recording.calls.store else self.begun
        kept.extend(each.id for each in records)
        for each in self.meanwhile:
            each()


def lines(directory: Path) -> list[bytes]:
    return [path.read_bytes() for path in directory.iterdir()]


def a_call(tool: str = "echo") -> Record:
    return Record("agent_1", "mcp_1", "files", "tools/call", tool, "ok")


async def test_all_that_ended_is_written_however_much_it_is(tmp_path: Path) -> None:
    rows = Rows()
    recorder = Recorder(rows, tmp_path, "host:1:1")
    ended = [a_call() for _ in range(3 * recording.BATCH + 1)]
    for each in ended:
        recorder.end(each)

    await recorder.flush()

    assert rows.stored == [each.id for each in ended]


async def test_what_ends_while_rows_are_written_is_for_the_next_time(tmp_path: Path) -> None:
    rows, late = Rows(), a_call("late")
    recorder = Recorder(rows, tmp_path, "host:1:1")
    early = a_call("early")
    recorder.end(early)
    rows.meanwhile = [lambda: recorder.end(late)]

    await recorder.flush()
    first, rows.meanwhile = list(rows.stored), []
    await recorder.flush()

    assert (first, rows.stored) == ([early.id], [early.id, late.id])


async def test_a_call_that_goes_on_is_begun_once_and_its_line_goes_with_its_row(tmp_path: Path) -> None:
    rows = Rows()
    recorder = Recorder(rows, tmp_path, "host:1:1")
    call = a_call("pay")
    recorder.begin(call)
    (line,) = lines(tmp_path)
    await recorder.flush()
    await recorder.flush()
    recorder.end(call)
    await recorder.flush()
    recorder.close()

    assert call.id.encode() in line
    assert (rows.begun, rows.stored) == ([call.id], [call.id])
    assert lines(tmp_path) == []


async def test_a_database_that_takes_nothing_stops_new_calls_and_loses_none_that_wait(
    tmp_path: Path, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recording, "MAX_RECORDS", 3)
    rows = Rows()
    recorder = Recorder(rows, tmp_path, "host:1:1")
    for _ in range(5):
        recorder.end(a_call())

    assert recorder.is_full
    await recorder.flush()
    assert not recorder.is_full
    assert len(rows.stored) == 3
    assert len(caplog.messages) == 2
    assert caplog.messages[1].startswith("2 records of MCP calls were lost")


@pytest.mark.django_db
def test_rows_say_what_came_of_a_call_whichever_was_written_first(
    atlas: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_rows, "MOST_VALUES", 40)  # two rows at once
    ended = [replace(a_call(f"grüße {number} \x00\ud800"), agent_id=atlas.pk) for number in range(5)]
    begun = [replace(each, outcome="started") for each in ended]
    nobodys = a_call("of an agent that is gone")

    calls.begin(begun[:3])
    calls.store([*ended, nobodys])
    calls.begin(begun)
    calls.store(ended)

    rows = McpCall.objects.order_by("tool")
    assert [(each.tool, each.outcome, each.server_id) for each in rows] == [
        (f"grüße {number} ?", "ok", None) for number in range(5)
    ]
    assert rows[0].at == ended[0].at
    calls.store([])
