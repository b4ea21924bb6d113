"""What a tool call is for, in a few words, whatever the model wrote as arguments."""

from __future__ import annotations

import time
from typing import Any

import pytest

from runs import purposes

PURPOSES: list[tuple[str, dict[str, Any], str]] = [
    ("terminal", {"command": "ls -la"}, "List files"),
    ("terminal", {"command": "/usr/bin/git status"}, "Use git"),
    ("terminal", {"command": "sudo LANG=C grep x y"}, "Search in files"),
    ("terminal", {"command": "echo 'never closed"}, "Run a command"),
    ("terminal", {"command": "# only a comment"}, "Run a command"),
    ("terminal", {"command": ""}, "Run a command"),
    ("terminal", {"command": None}, "Run a command"),
    ("terminal", {"command": ["ls"]}, "Run a command"),
    ("terminal", {}, "Run a command"),
    ("process", {"command": "sleep 5"}, "Wait"),
    ("read_file", {"path": "a.txt"}, "Read a.txt"),
    ("read_file", {}, "Read a file"),
    ("write_file", {"path": "{path} {0}"}, "Write {path} {0}"),
    ("patch", {"path": "a\nb"}, "Change a b"),
    ("read_file", {"path": "x" * 5000}, "Read " + "x" * 120),
    ("delegate_task", {}, "Hand part of it to a sub-agent"),
    ("mcp__github__create_issue", {}, "Use create_issue of github"),
    ("mcp__github", {}, "Use a tool of github"),
    ("no_such_tool", {}, "Use no such tool"),
    ("", {}, "Use a tool"),
]


@pytest.mark.parametrize(("tool", "args", "words"), PURPOSES)
def test_a_call_is_described_by_its_tool_and_arguments(tool: str, args: dict[str, Any], words: str) -> None:
    assert purposes.purpose(tool, args) == words


@pytest.mark.parametrize(
    ("args", "line"),
    [
        ({"command": "echo a\n  echo b"}, "echo a echo b"),
        ({"path": "a.txt", "content": "x"}, "a.txt"),
        ({"query": {"nested": 1}}, "{'nested': 1}"),
        ({"command": "", "goal": "do it"}, "do it"),
        ({"command": "y" * 1000}, "y" * 300),
        ({"other": 1}, ""),
        ({}, ""),
    ],
)
def test_the_grey_line_is_the_one_argument_that_matters(args: dict[str, Any], line: str) -> None:
    assert purposes.detail("terminal", args) == line


@pytest.mark.parametrize(
    ("tool", "icon"), [("terminal", "terminal"), ("read_file", "file"), ("mcp__x__y", "plug"), ("odd", "tool")]
)
def test_every_tool_has_an_icon(tool: str, icon: str) -> None:
    assert purposes.icon(tool) == icon


def test_a_very_long_command_costs_nothing() -> None:
    command = "python - <<'E'\n" + "print('x')\n" * 50_000

    started = time.process_time()
    for _ in range(20):
        purposes.purpose("terminal", {"command": command})
        purposes.detail("terminal", {"command": command})

    assert time.process_time() - started < 2
