"""After a restart the runtime's stream is gone: the router drives, and nothing that is known is told again."""

from __future__ import annotations

from datetime import UTC, datetime

from runs.events import Event
from runs.merge import Merger
from tests.runs.test_merge import Clock, asked, began, play, shown

AT = datetime(2026, 11, 21, tzinfo=UTC)


def known(*stories: tuple[str, dict]) -> list[Event]:
    return [Event("run_1", number, kind, data, AT) for number, (kind, data) in enumerate(stories, 1)]


RUNNING = ("tool.started", {"call_id": "a", "tool": "terminal", "args": {"command": "ls"}})
DONE = ("tool.completed", {"call_id": "a", "ok": True, "duration_ms": 1.0})
RESULT = ("tool.result", {"call_id": "a", "result": "fine"})


def resumed(*stories: tuple[str, dict]) -> Merger:
    return Merger(Clock(), router_drives=True, known=known(*stories))


def test_a_tool_starts_when_it_is_asked_for_and_ends_with_its_result() -> None:
    assert play([asked("b"), shown("b")], resumed()) == ["start b", "done b ok", "result b"]


def test_a_tool_that_was_running_is_completed_by_its_result() -> None:
    assert play([shown("a")], resumed(RUNNING)) == ["done a ok", "result a"]


def test_nobody_knows_how_long_it_ran() -> None:
    completed, _ = resumed(RUNNING).result("a", "terminal", "fine", "")

    assert completed == ("tool.completed", {"call_id": "a", "ok": True, "duration_ms": None})


def test_a_tool_that_was_done_only_gets_its_result() -> None:
    assert play([shown("a")], resumed(RUNNING, DONE)) == ["result a"]


def test_a_result_that_is_known_is_not_told_again() -> None:
    assert play([asked("a"), shown("a")], resumed(RUNNING, DONE, RESULT)) == []


def test_a_retried_request_asks_for_nothing_new() -> None:
    assert play([asked("a")], resumed(RUNNING)) == []


def test_tools_of_before_are_counted() -> None:
    merger = resumed(RUNNING, DONE)
    play([asked("b")], merger)

    assert merger.started == 2


def test_a_child_goes_on_under_its_delegation() -> None:
    delegation = ("tool.started", {"call_id": "d", "tool": "delegate_task", "args": {}})
    child = ("tool.started", {"call_id": "x", "tool": "terminal", "args": {}, "parent": "d"})

    steps = play(
        [shown("x", conversation="child"), asked("y", conversation="child"), shown("d", "delegate_task")],
        resumed(delegation, child),
    )

    assert steps == ["done x ok", "result x", "start y in d", "done d ok", "result d"]


def test_an_id_made_up_before_is_not_made_up_again() -> None:
    made_up = ("tool.started", {"call_id": "h1", "tool": "terminal", "args": {}})

    assert play([began("read_file")], Merger(Clock(), known=known(made_up))) == ["start h2"]


def test_other_events_are_no_matter() -> None:
    assert play([shown("a")], resumed(("note", {"text": "x"}), ("tool.completed", {"call_id": "q"}))) == [
        "start a",
        "done a ok",
        "result a",
    ]
