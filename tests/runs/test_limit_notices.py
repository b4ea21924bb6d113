"""A limit that a sandbox reached is told to the people: in the runs that go on in it, and on the sandbox's row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from runs.engine import Engine
from sandboxes import records
from sandboxes.driver import LimitNotice
from sandboxes.lifecycle import Running
from sandboxes.residents import Resident, Residents

FULL = LimitNotice("disk", "Its files take 5 GiB.", True, 4e9)


class Pen:
    def __init__(self) -> None:
        self.said: list[tuple[str, dict[str, Any]]] = []

    def emit(self, kind: str, data: dict[str, Any]) -> None:
        self.said.append((kind, data))


def test_only_the_runs_of_that_agent_record_it() -> None:
    mine, other = Pen(), Pen()
    runs = {
        "run_1": SimpleNamespace(job=SimpleNamespace(agent_id="a"), recorder=mine),
        "run_2": SimpleNamespace(job=SimpleNamespace(agent_id="b"), recorder=other),
    }

    Engine._limit_noticed(SimpleNamespace(_runs=runs), "a", FULL)  # type: ignore[arg-type]

    assert mine.said == [("note", {"text": "The sandbox: Its files take 5 GiB."})]
    assert other.said == []


class Telling:
    """An attachment that tells these notices, then is gone."""

    def __init__(self, *notices: LimitNotice) -> None:
        self.told = notices

    async def notices(self) -> AsyncIterator[LimitNotice]:
        for notice in self.told:
            yield notice

    async def wait_gone(self) -> None:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("notices", "rows", "heard"),
    [
        ([FULL], ["Its files take 5 GiB."], ["disk"]),
        ([FULL, LimitNotice("disk", "Below again.", False, 4e9)], ["Its files take 5 GiB.", ""], ["disk", "disk"]),
        # From before this engine was connected: the row keeps it, no run of now is told.
        ([LimitNotice("memory", "Ended one.", True, 1.0)], ["Ended one."], []),
    ],
)
async def test_the_row_says_it_as_long_as_it_is_so(
    notices: list[LimitNotice], rows: list[str], heard: list[str]
) -> None:
    written: list[tuple[Any, ...]] = []
    told: list[str] = []

    async def db(function: Any, *arguments: Any) -> None:
        written.append((function, *arguments))

    residents = Residents(
        None, SimpleNamespace(forget=lambda box: None), lambda box: None, db, None,  # type: ignore[arg-type]
        lambda agent, notice: told.append(notice.limit),
    )  # fmt: skip
    running = Running("box_1", "fake", {"x": 1}, (), "key")
    resident = Resident(running, Telling(*notices), None)  # type: ignore[arg-type]

    await residents._heed_limits("agent_1", resident)

    assert written == [(records.note_reason, "box_1", text) for text in rows]
    assert told == heard


async def test_a_sandbox_that_ends_right_after_says_why() -> None:
    written: list[tuple[Any, ...]] = []

    async def db(function: Any, *arguments: Any) -> None:
        written.append((function, *arguments))

    lanes = SimpleNamespace(forget=lambda box: None)
    residents = Residents(None, lanes, lambda box: None, db, None)  # type: ignore[arg-type]
    resident = Resident(Running("box_1", "fake", {"x": 1}, (), "key"), Telling(), None)  # type: ignore[arg-type]
    resident.last_notice = LimitNotice("memory", "It reached its memory limit.", True, 4e9)

    await residents._watch("agent_1", resident)

    assert written == [(records.lost, "box_1", {"x": 1}, "The sandbox ended by itself. It reached its memory limit.")]
