"""Which question a runtime waits with, read from the messages it has stored."""

from __future__ import annotations

import pytest

from runs.unheard import command_in
from sandboxes.hermes.client import SessionMessage, ToolCall


def said(*calls: ToolCall) -> SessionMessage:
    return SessionMessage(2, "assistant", "", tool_calls=calls)


def result(call_id: str) -> SessionMessage:
    return SessionMessage(3, "tool", "done", tool_call_id=call_id)


LOOK = ToolCall("a", "terminal", '{"command": "ls"}')
REMOVE = ToolCall("b", "terminal", '{"command": "rm -rf build"}')
CODE = ToolCall("c", "execute_code", '{"code": "print(1)"}')
OTHER = ToolCall("d", "browser", '{"url": "x"}')
BROKEN = ToolCall("e", "terminal", '{"comm')


@pytest.mark.parametrize(
    ("messages", "command"),
    [
        ([], ""),
        ([SessionMessage(1, "user", "hi")], ""),
        ([said(REMOVE)], "rm -rf build"),
        ([said(LOOK, REMOVE)], "ls"),
        ([said(LOOK, REMOVE), result("a")], "rm -rf build"),
        ([said(LOOK), result("a")], ""),
        ([said(LOOK), result("a"), said(REMOVE)], "rm -rf build"),
        ([said(CODE)], "execute_code <<'PY'\nprint(1)\nPY"),
        ([said(OTHER)], 'browser {"url": "x"}'),
        ([said(BROKEN)], 'terminal {"comm'),
    ],
    ids=["nothing", "no tool", "one", "the first", "the next", "all done", "next turn", "code", "other", "broken"],
)
def test_the_first_call_without_a_result_is_what_is_asked(messages: list[SessionMessage], command: str) -> None:
    assert command_in(messages) == command
