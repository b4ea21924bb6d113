"""Calls to MCP servers in the timeline of a run: those that went through have a tool's line, the others are said."""

from __future__ import annotations

import pytest

from runs.events import Event, now
from runs.items import Notice
from runs.rendering import RunRef, item_html
from runs.timeline import Timeline


@pytest.mark.parametrize(
    ("outcome", "reason", "said"),
    [
        ("ok", "", None),
        ("error", "", None),
        ("denied", "This agent has no access.", "The MCP server files did not do echo: This agent has no access."),
        ("timeout", "", "The MCP server files did not do echo: it took too long"),
        ("gone", "", "The MCP server files did not do echo: the server ended"),
    ],
)
def test_what_did_not_go_through_is_said(outcome: str, reason: str, said: str | None) -> None:
    data = {"server": "files", "tool": "echo", "outcome": outcome, "duration_ms": 1.0, "reason": reason}

    timeline = Timeline([Event("run_1", 1, "mcp.call", data, now())])

    assert [item.sentence for item in timeline.items if isinstance(item, Notice)] == ([said] if said else [])


@pytest.mark.parametrize(
    ("outcome", "said"),
    [("ok", []), ("refused", ["The MCP server notes wanted to ask a model and got no answer: Too often."])],
)
def test_a_server_that_got_no_answer_of_a_model_is_said(outcome: str, said: list[str]) -> None:
    data = {
        "server": "notes",
        "tool": "sum",
        "outcome": outcome,
        "why": "rate",
        "reason": "Too often.",
        "duration_ms": 1.0,
    }

    found = [
        item.sentence
        for item in Timeline([Event("run_1", 1, "mcp.sampling", data, now())]).items
        if isinstance(item, Notice)
    ]

    assert found == said


def test_a_model_call_says_which_server_asked() -> None:
    data = {"model": "small-1", "by": "server", "name": "notes", "input_tokens": 5, "output_tokens": 2}
    timeline = Timeline([Event("run_1", 1, "model.call", data, now())])

    html = item_html(RunRef("run_1", "conv_1", "Atlas", now()), timeline.items[0], "run")

    assert "notes, an MCP server, asked a model" in html
