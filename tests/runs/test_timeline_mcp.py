"""Calls to MCP servers in the timeline of a run: those that went through have a tool's line, the others are said."""

from __future__ import annotations

import pytest

from runs.events import Event, now
from runs.timeline import Notice, Timeline


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
