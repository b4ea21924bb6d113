"""Events fold into what a person sees, kind by kind."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from runs.events import Event
from runs.items import Call, End, Item, Note, Question, Text, Thinking, Tool
from runs.timeline import Timeline
from tests.runs.stories import AT


def fold(*said: tuple[str, dict[str, Any]]) -> Timeline:
    return Timeline(
        Event("run_1", number, kind, data, AT + timedelta(seconds=number))
        for number, (kind, data) in enumerate(said, 1)
    )


def kinds(timeline: Timeline) -> list[str]:
    return [item.kind for item in timeline.items]


def text(words: str) -> tuple[str, dict[str, Any]]:
    return "text.delta", {"text": words}


def thought(words: str) -> tuple[str, dict[str, Any]]:
    return "reasoning.delta", {"text": words}


STARTED = ("tool.started", {"call_id": "a", "tool": "terminal", "args": {"command": "ls -la"}})
DONE = ("tool.completed", {"call_id": "a", "ok": True, "duration_ms": 12.0})
ASKED = ("approval.requested", {"id": "q", "command": "rm -rf /", "description": "deletes", "expires_at": "soon"})


def only(timeline: Timeline, kind: type[Item]) -> Any:
    (item,) = (item for item in timeline.items if isinstance(item, kind))
    return item


def test_text_grows_until_something_else_follows() -> None:
    growing = fold(text("Hel"), text("lo"))
    assert (only(growing, Text).text, only(growing, Text).live) == ("Hello", True)

    told = fold(text("Hel"), text("lo"), STARTED, text("Then"))

    assert kinds(told) == ["text", "tool", "text"]
    assert [item.live for item in told.items if isinstance(item, Text)] == [False, True]


def test_a_text_does_not_begin_with_empty_lines() -> None:
    assert fold(text("\n\n")).items == []
    assert only(fold(text("\n"), text("\nHi\n")), Text).text == "Hi\n"


def test_thinking_is_timed_and_apart_from_text() -> None:
    timeline = fold(thought("Hm"), thought(", well"), text("Yes"))

    thinking = only(timeline, Thinking)
    assert kinds(timeline) == ["thinking", "text"]
    assert (thinking.text, thinking.live, thinking.duration_ms) == ("Hm, well", False, 1000)


def test_a_tool_runs_ends_and_gets_its_result() -> None:
    running = only(fold(STARTED), Tool)
    assert (running.state, running.purpose, running.detail, running.icon) == (
        "running",
        "List files",
        "ls -la",
        "terminal",
    )

    tool = only(
        fold(STARTED, DONE, ("tool.result", {"call_id": "a", "result": '{"output": "x", "exit_code": 0}'})), Tool
    )

    assert (tool.state, tool.duration_ms, tool.output, tool.exit_code) == ("ok", 12.0, "x", 0)


@pytest.mark.parametrize("order", ["result last", "result first"])
def test_a_command_that_failed_is_failed_whatever_the_runtime_calls_it(order: str) -> None:
    result = ("tool.result", {"call_id": "a", "result": '{"output": "", "exit_code": 2}'})

    story = (DONE, result) if order == "result last" else (result, DONE)

    assert only(fold(STARTED, *story), Tool).state == "failed"


def test_parallel_tools_end_in_any_order() -> None:
    second = ("tool.started", {"call_id": "b", "tool": "read_file", "args": {}, "parent": "a"})
    timeline = fold(STARTED, second, ("tool.completed", {"call_id": "b", "ok": False}), DONE)

    assert [(tool.call_id, tool.state, tool.parent) for tool in timeline.steps] == [
        ("a", "ok", ""),
        ("b", "failed", "a"),
    ]


@pytest.mark.parametrize("kind", ["tool.completed", "tool.result"])
def test_the_end_of_an_unknown_tool_is_nothing(kind: str) -> None:
    assert fold((kind, {"call_id": "z", "ok": True, "result": "x"})).items == []


@pytest.mark.parametrize(
    ("args", "shown"), [(None, {}), ([1], {"arguments": [1]}), ("… cut", {"arguments": "… cut"}), ({"a": 1}, {"a": 1})]
)
def test_arguments_are_an_object_whatever_the_model_wrote(args: Any, shown: dict) -> None:
    tool = only(fold(("tool.started", {"call_id": "a", "tool": "x", "args": args})), Tool)

    assert tool.args == shown
    assert tool.purpose == "Use x"


def test_preparing_is_one_note_that_changes_and_comes_to_rest() -> None:
    preparing = fold(("sandbox.progress", {"sentence": "One"}), ("sandbox.progress", {"sentence": "Two"}))
    assert (only(preparing, Note).sentence, only(preparing, Note).live) == ("Two", True)

    started = fold(("sandbox.progress", {"sentence": "One"}), ("run.started", {}))

    assert not only(started, Note).live


def test_a_question_waits_until_it_is_decided() -> None:
    waiting = only(fold(ASKED), Question)
    assert (waiting.choice, waiting.command, waiting.expires_at) == ("", "rm -rf /", "soon")

    decided = only(fold(ASKED, ("approval.decided", {"id": "q", "choice": "once", "by": "alice"})), Question)

    assert (decided.choice, decided.by) == ("once", "alice")


def test_a_question_nobody_decided_is_closed_with_the_run() -> None:
    assert only(fold(ASKED, ("run.cancelled", {"by": "alice"})), Question).choice == "withdrawn"


def test_a_model_call_never_cuts_a_text_in_two() -> None:
    timeline = fold(text("Hel"), ("model.call", {"model": "m", "duration_ms": 2000, "cost": None}), text("lo"))

    assert kinds(timeline) == ["call", "text"]
    assert only(timeline, Text).text == "Hello"
    assert only(timeline, Call).at == AT
    assert only(timeline, Call).cost is None


@pytest.mark.parametrize(
    ("kind", "data", "outcome", "message", "action"),
    [
        ("run.completed", {"text": "Done"}, "completed", "", ""),
        ("run.failed", {"code": "unknown", "message": "Broke.", "action": "Again."}, "failed", "Broke.", "Again."),
        ("run.cancelled", {"by": "alice"}, "cancelled", "", ""),
        ("run.interrupted", {"reason": "Lost.", "action": "Again."}, "interrupted", "Lost.", "Again."),
    ],
)
def test_the_end_says_how_it_ended_and_leaves_nothing_running(
    kind: str, data: dict, outcome: str, message: str, action: str
) -> None:
    timeline = fold(("sandbox.progress", {"sentence": "One"}), STARTED, text("half"), (kind, data))

    end = timeline.end
    assert end is not None
    assert (end.outcome, end.message, end.action, end.by) == (outcome, message, action, data.get("by", ""))
    assert timeline.steps[0].state == "unknown"
    assert not any(getattr(item, "live", False) for item in timeline.items)


def test_nothing_follows_the_end() -> None:
    timeline = fold(("run.completed", {"text": "Done"}), text("more"), ("model.call", {}), ("run.failed", {}))

    assert kinds(timeline) == ["end"]
    assert isinstance(timeline.end, End)
    assert timeline.seq == 4


@pytest.mark.parametrize("kind", ["some.future.kind", "end", "finish", "", "tool.started.x", "apply"])
def test_a_kind_nobody_knows_changes_nothing(kind: str) -> None:
    timeline = fold(text("a"), (kind, {}), text("b"))

    assert [item.text for item in timeline.items if isinstance(item, Text)] == ["ab"]


def test_the_clock_of_a_run_starts_when_it_was_queued() -> None:
    assert fold(("run.queued", {}), text("x")).started_at == AT + timedelta(seconds=1)


def test_a_tool_that_a_person_stopped_is_stopped_and_has_not_failed() -> None:
    killed = ("tool.completed", {"call_id": "a", "ok": False, "stopped": True, "duration_ms": 12.0})
    result = ("tool.result", {"call_id": "a", "result": '{"output": "", "exit_code": 130}'})

    assert only(fold(STARTED, killed), Tool).state == "cancelled"
    assert only(fold(STARTED, killed, result), Tool).state == "cancelled"
