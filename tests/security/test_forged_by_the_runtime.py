"""What answers as the agent runtime is the agent's own program, and says whatever it likes."""

from __future__ import annotations

import json

import pytest

from runs.templatetags.run_format import duration, unhidden
from sandboxes.hermes.events import ToolCompleted, parse_event


@pytest.mark.parametrize("told", ["1e308", "-1e300", "1e16", "NaN", "Infinity", "1" + "0" * 400])
def test_a_duration_beyond_all_time_is_taken_for_unknown(told: str) -> None:
    event = parse_event(json.loads(f'{{"event": "tool.completed", "tool": "terminal", "duration": {told}}}'))
    assert isinstance(event, ToolCompleted)
    assert event.duration_s == 0.0


@pytest.mark.parametrize("milliseconds", [float("inf"), float("nan"), "inf", "-Infinity"])
def test_a_page_survives_a_duration_that_was_recorded_without_end(milliseconds: float) -> None:
    assert duration(milliseconds) == ""


def test_a_person_is_asked_about_the_whole_command(question: str) -> None:
    assert "rm -rf everything" in question


def test_a_person_who_is_asked_sees_what_would_be_invisible(question: str) -> None:
    assert "\u202e" not in question
    assert "⟨U+202E⟩" in question
    assert "⟨U+000D⟩" in question


def test_what_can_be_seen_is_shown_as_it_is() -> None:
    assert unhidden("grep -r 'Grüße' . | wc -l\n\tdone") == "grep -r 'Grüße' . | wc -l\n\tdone"


@pytest.fixture
def question() -> str:
    """The question as a page draws it, about a command whose dangerous end is far from its harmless beginning."""
    from datetime import UTC, datetime

    from runs.items import Question
    from runs.rendering import RunRef, item_html

    command = "echo \u202eharmless\r" + " " * 9_000 + "; rm -rf everything"
    asked = Question(id="q", seq=1, at=datetime.now(UTC), approval_id="appr_1", command=command, description="x")
    return item_html(RunRef("run_1", "conv_1", "atlas"), asked, "chat")
