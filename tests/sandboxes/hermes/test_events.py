"""The captured streams of a real runtime, read frame by frame."""

from __future__ import annotations

import logging

import pytest

from sandboxes.hermes import events
from sandboxes.hermes.events import (
    FINAL,
    ApprovalRequest,
    ApprovalResponded,
    Cancelled,
    Completed,
    Failed,
    TextDelta,
    ToolCompleted,
    ToolStarted,
    Usage,
    parse_event,
)
from tests.sandboxes.hermes.captures import captured_events, raw


def kinds(name: str) -> list[str]:
    return [type(event).__name__ for event in captured_events(name)]


def test_a_tool_call_is_read_as_text_tool_text_and_end() -> None:
    assert kinds("tool") == [
        *["TextDelta"] * 3,
        "ToolStarted",
        "ToolCompleted",
        *["TextDelta"] * 3,
        "Completed",
    ]

    *_, started, completed, _, _, _, end = captured_events("tool")
    assert isinstance(started, ToolStarted)
    assert isinstance(completed, ToolCompleted)
    assert isinstance(end, Completed)
    assert (started.tool, started.preview) == ("terminal", "echo hi-from-tool + 3 commands")
    assert (completed.duration_s, completed.error) == (0.109, False)
    assert (end.output, end.usage) == ("Tool said hi.", Usage(2400, 84))


def test_the_text_of_the_deltas_is_the_whole_visible_reply() -> None:
    text = "".join(event.text for event in captured_events("tool") if isinstance(event, TextDelta))

    assert text == "Let me check. \n\nTool said hi."


def test_what_the_runtime_calls_reasoning_is_dropped_because_it_is_not() -> None:
    assert b"reasoning.available" in raw("thinktag")
    assert set(kinds("thinktag")) == {"TextDelta", "Completed"}


def test_an_approval_is_asked_and_answered() -> None:
    request, answer = (e for e in captured_events("approve-once") if isinstance(e, ApprovalRequest | ApprovalResponded))

    assert isinstance(request, ApprovalRequest)
    assert request.command == "mkdir -p /scratch/hl-victim && rm -rf /scratch/hl-victim"
    assert request.pattern_keys == ("delete in root path",)
    assert isinstance(answer, ApprovalResponded)
    assert answer.choice == "once"


def test_an_approval_that_expires_shows_only_as_a_failed_tool() -> None:
    assert "ApprovalResponded" not in kinds("approve-timeout")
    assert [e.error for e in captured_events("approve-timeout") if isinstance(e, ToolCompleted)] == [True]


def test_a_stopped_run_ends_as_cancelled_with_its_tool_failed() -> None:
    _, tool, end = captured_events("cancel-tool")

    assert isinstance(tool, ToolCompleted)
    assert tool.error
    assert isinstance(end, Cancelled)


def test_a_failure_keeps_the_runtimes_sentence() -> None:
    (end,) = captured_events("err-e402")

    assert isinstance(end, Failed)
    assert end.error == "HTTP 402: budget exhausted"


@pytest.mark.parametrize(
    "name", ["tool", "twotools", "thinktag", "approve-once", "approve-timeout", "cancel-tool", "err-e402", "err-drop"]
)
def test_every_capture_has_exactly_one_final_event_and_it_is_the_last(name: str) -> None:
    finals = [isinstance(event, FINAL) for event in captured_events(name)]

    assert finals.count(True) == 1
    assert finals[-1]


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ({"event": "message.delta"}, TextDelta(0.0, "")),
        ({"event": "message.delta", "delta": 7, "timestamp": "soon"}, TextDelta(0.0, "7")),
        ({"event": "tool.started", "tool": "memory", "preview": None}, ToolStarted(0.0, "memory", "")),
        ({"event": "tool.completed", "tool": "t", "duration": float("inf")}, ToolCompleted(0.0, "t", 0.0, False)),
        ({"event": "tool.completed", "tool": "t", "duration": 10**400}, ToolCompleted(0.0, "t", 0.0, False)),
        ({"event": "run.completed", "output": None, "usage": "much"}, Completed(0.0, "", Usage())),
        ({"event": "run.failed"}, Failed(0.0, "The agent runtime gave no reason.")),
        ({"event": "approval.request", "pattern_keys": 7}, ApprovalRequest(0.0, "", "", ())),
        ({"event": "approval.request", "pattern_key": "k"}, ApprovalRequest(0.0, "", "", ("k",))),
        ({"event": ["odd"]}, None),
        ({}, None),
    ],
)
def test_odd_values_never_break_the_reader(frame: dict[str, object], expected: object) -> None:
    assert parse_event(frame) == expected


def test_an_unknown_event_is_logged_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_unknown_seen", set())

    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert parse_event({"event": "moon.rises"}) is None

    assert len(caplog.records) == 1
