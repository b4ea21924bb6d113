"""What a run reached, in its record: told at once, repetitions counted, never without end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from runs import reached
from runs.events import Event, now
from runs.items import Egress, Text
from runs.reached import Reached
from runs.timeline import Timeline
from sandboxes.egress.proxy import Decision

ASKED = Decision("conn_1", "a.example", 443, "/usr/bin/curl", False, "", "No rule names a.example.", "CONNECT")


class Record:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def emit(self, kind: str, data: dict[str, Any]) -> None:
        self.events.append((kind, data))

    @property
    def counts(self) -> list[int]:
        return [data["count"] for kind, data in self.events if kind == "egress"]


async def test_the_first_is_told_at_once_and_the_rest_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reached, "TOGETHER_S", 0.02)
    record = Record()
    told = Reached(record)  # type: ignore[arg-type]

    for _ in range(100):
        told.add(ASKED)
    told.add(replace(ASKED, host="b.example"))
    assert record.counts == [1, 1]
    assert record.events[0][1] == {
        "host": "a.example", "port": 443, "method": "CONNECT", "binary": "/usr/bin/curl", "decision": "denied",
        "rule": "", "reason": "No rule names a.example.", "count": 1,
    }  # fmt: skip

    await asyncio.sleep(0.06)
    assert record.counts == [1, 1, 99]
    told.add(ASKED)
    told.add(ASKED)
    told.flush()
    assert sum(record.counts) == 103
    await asyncio.sleep(0.04)
    assert sum(record.counts) == 103


async def test_a_record_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reached, "MOST_EVENTS", 5)
    record = Record()
    told = Reached(record)  # type: ignore[arg-type]

    for number in range(50):
        told.add(replace(ASKED, host=f"h{number}.example"))
    told.flush()

    assert [kind for kind, _ in record.events] == ["egress"] * 4 + ["note"]


def test_a_hundred_requests_to_one_host_are_one_row_and_cut_no_text() -> None:
    data = {"host": "a.example", "port": 443, "binary": "/usr/bin/curl", "decision": "denied", "reason": "No."}
    kinds = [("text.delta", {"text": "I am "}), ("egress", data), ("text.delta", {"text": "trying."})]
    kinds += [("egress", {**data, "count": 49})] * 2 + [("egress", {**data, "decision": "allowed", "count": 2})]

    timeline = Timeline(Event("run_1", seq, kind, each, now()) for seq, (kind, each) in enumerate(kinds, 1))

    first, second, text = timeline.items
    assert isinstance(first, Egress)
    assert isinstance(second, Egress)
    assert isinstance(text, Text)
    assert (first.count, first.allowed, first.program) == (99, False, "curl")
    assert (second.count, second.allowed) == (2, True)
    assert text.text == "I am trying."
