"""The merge rule: the runtime tells when tools run, the router what they were asked and what came of it.

R.x is said by the router, H.x by the runtime; the tables read from top to bottom.
"""

from __future__ import annotations

from typing import Any

import pytest

from runs.merge import Merger, Step

ERROR = "Tool 'no_such_tool' does not exist. Available tools: terminal"


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        self.now_s += 0.5
        return self.now_s


def play(story: list[tuple[Any, ...]], merger: Merger | None = None) -> list[str]:
    """The steps of a story in short: ``start a``, ``done a ok``, ``result a``."""
    merger = merger or Merger(Clock())
    steps: list[Step] = []
    for verb, *words in story:
        steps += getattr(merger, VERBS[verb])(*words)
    return [short(step) for step in steps]


VERBS = {
    "R.requested": "requested",
    "R.result": "result",
    "H.started": "started_in_runtime",
    "H.completed": "completed_in_runtime",
    "lost": "stream_lost",
}


def short(step: Step) -> str:
    kind, data = step
    if kind == "tool.started":
        return f"start {data['call_id']}" + (f" in {data['parent']}" if data.get("parent") else "")
    if kind == "tool.completed":
        return f"done {data['call_id']} {'ok' if data['ok'] else 'failed'}"
    return f"result {data['call_id']}"


def asked(call_id: str, tool: str = "terminal", conversation: str = "") -> tuple[Any, ...]:
    return "R.requested", call_id, tool, {"command": call_id}, conversation


def shown(call_id: str, tool: str = "terminal", result: str = "fine", conversation: str = "") -> tuple[Any, ...]:
    return "R.result", call_id, tool, result, conversation


def began(tool: str = "terminal") -> tuple[Any, ...]:
    return "H.started", tool, "a preview"


def ended(tool: str = "terminal", error: bool = False) -> tuple[Any, ...]:
    return "H.completed", tool, 0.25, error


TABLE: dict[str, tuple[list[tuple[Any, ...]], list[str]]] = {
    "one tool": (
        [asked("a"), began(), ended(), shown("a")],
        ["start a", "done a ok", "result a"],
    ),
    "asked is not yet running": ([asked("a")], []),
    "two tools in one turn, one after the other, then one more": (
        [
            *(asked("a"), asked("b", "write_file"), began(), ended(), began("write_file"), ended("write_file")),
            *(shown("a"), shown("b", "write_file"), asked("c"), began(), ended(), shown("c")),
        ],
        ["start a", "done a ok", "start b", "done b ok", "result a", "result b", "start c", "done c ok", "result c"],
    ),
    "the same tool twice in one turn": (
        [asked("a"), asked("b"), began(), ended(), began(), ended(error=True), shown("a"), shown("b")],
        ["start a", "done a ok", "start b", "done b failed", "result a", "result b"],
    ),
    "read-only tools start together": (
        [asked("a", "read_file"), asked("b", "read_file"), *[began("read_file")] * 2, *[ended("read_file")] * 2],
        ["start a", "start b", "done a ok", "done b ok"],
    ),
    "an unknown tool is told by its result alone, and failed": (
        [asked("a", "no_such_tool"), shown("a", "no_such_tool", ERROR)],
        ["start a", "done a failed", "result a"],
    ),
    "an unknown tool beside one that ran": (
        [asked("a", "no_such_tool"), asked("b"), began(), ended(), shown("a", "x", ERROR), shown("b")],
        ["start b", "done b ok", "start a", "done a failed", "result a", "result b"],
    ),
    "a completion that got lost is made up for by the result": (
        [asked("a"), began(), shown("a")],
        ["start a", "done a ok", "result a"],
    ),
    "children are nested under the delegation that is open": (
        [
            *(asked("d", "delegate_task"), began("delegate_task"), asked("x", "terminal", "child")),
            *(shown("x", "terminal", "fine", "child"), ended("delegate_task"), shown("d", "delegate_task")),
        ],
        ["start d", "start x in d", "done x ok", "result x", "done d ok", "result d"],
    ),
    "a child's tool never takes the parent's events": (
        [
            *(asked("d", "delegate_task"), began("delegate_task"), asked("x", "terminal", "child")),
            *(ended("delegate_task"), asked("a"), began(), ended(), shown("x", "terminal", "fine", "child")),
        ],
        ["start d", "start x in d", "done d ok", "start a", "done a ok", "done x ok", "result x"],
    ),
    "a child's unknown call is nested too": (
        [asked("d", "delegate_task"), began("delegate_task"), shown("x", "terminal", "fine", "child")],
        ["start d", "start x in d", "done x ok", "result x"],
    ),
    "a child without a delegation has a parent of that name": (
        [asked("x", "terminal", "child")],
        ["start x in delegate"],
    ),
    "a tool the router never saw gets an id of its own": (
        [began(), ended(), began("read_file"), ended("read_file", True)],
        ["start h1", "done h1 ok", "start h2", "done h2 failed"],
    ),
    "a completion of nothing is nothing": ([ended(), asked("a"), ended()], []),
    "everything said twice by the router": (
        [asked("a"), asked("a"), began(), ended(), shown("a"), shown("a"), asked("a")],
        ["start a", "done a ok", "result a"],
    ),
    "a result nobody asked for": ([shown("z")], ["start z", "done z ok", "result z"]),
    "a lost stream leaves the router to drive": (
        [asked("a"), ("lost",), asked("b"), shown("a"), shown("b", "terminal", '{"error": "no"}')],
        ["start a", "start b", "done a ok", "result a", "done b failed", "result b"],
    ),
}


@pytest.mark.parametrize(("story", "steps"), TABLE.values(), ids=TABLE.keys())
def test_what_both_say_becomes_one_order_of_steps(story: list[tuple[Any, ...]], steps: list[str]) -> None:
    assert play(story) == steps


def test_the_router_gives_the_arguments_and_the_runtime_the_duration() -> None:
    merger = Merger(Clock())
    merger.requested("a", "terminal", {"command": "ls"}, "")

    (started,) = merger.started_in_runtime("terminal", "ls")
    (completed,) = merger.completed_in_runtime("terminal", 0.0364, False)

    assert started == ("tool.started", {"call_id": "a", "tool": "terminal", "args": {"command": "ls"}})
    assert completed == ("tool.completed", {"call_id": "a", "ok": True, "duration_ms": 36.4})


def test_without_the_router_the_preview_is_all_there_is_to_show() -> None:
    ((_, data),) = Merger(Clock()).started_in_runtime("terminal", "sleep 1 + 1 command")

    assert data == {"call_id": "h1", "tool": "terminal", "args": {"preview": "sleep 1 + 1 command"}}


def test_a_childs_duration_is_measured_here() -> None:
    merger = Merger(Clock())
    merger.requested("x", "terminal", {}, "child")

    completed, _ = merger.result("x", "terminal", "fine", "child")

    assert completed[1]["duration_ms"] == 500.0


def test_started_tools_are_counted_once_each() -> None:
    merger = Merger(Clock())
    play(TABLE["children are nested under the delegation that is open"][0], merger)

    assert merger.started == 2
