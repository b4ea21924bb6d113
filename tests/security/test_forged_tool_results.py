"""A model request from inside a sandbox tells of tens of thousands of tools that never ran."""

from __future__ import annotations

import time
from typing import Any

from runs.merge import Merger
from runs.settling import Figures
from runs.sink import MOST_STEPS, RunSink


class Recorded:
    """A recorder that keeps what it is given."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def emit(self, kind: str, data: dict[str, Any]) -> None:
        self.kinds.append(kind)


def test_a_run_records_so_many_tools_and_says_once_that_there_were_more() -> None:
    recorded = Recorded()
    sink = RunSink(recorded, Merger(time.monotonic), Figures())  # type: ignore[arg-type]
    for number in range(MOST_STEPS):
        sink.tool_result(f"call_{number}", "terminal", "forged", conversation="")
    assert MOST_STEPS <= len(recorded.kinds) <= MOST_STEPS + 3
    assert recorded.kinds.count("note") == 1
