"""A tool's result as people read it, and whether it tells of a failure."""

from __future__ import annotations

import json

import pytest

from runs.events import CUT
from runs.results import Result, failed, summary

DEEP = '{"x":' * 5000 + "1" + "}" * 5000

TABLE = [
    ('{"output": "hello", "exit_code": 0, "error": null}', Result("hello", 0)),
    ('{"output": "", "exit_code": 2, "error": "no such file"}', Result("no such file", 2)),
    ('{"output": "half", "exit_code": 1, "error": "broke"}', Result("half\nbroke", 1)),
    ('{"content": "1|text", "truncated": true}', Result("1|text")),
    ('{"output": "", "exit_code": 0}', Result("", 0)),
    ('{"bytes_written": 12}', Result('{\n  "bytes_written": 12\n}')),
    ('{"exit_code": "0", "output": "x"}', Result("x")),
    ('{"exit_code": true, "output": "x"}', Result("x")),
    ('{"output": ["a", 1]}', Result("['a', 1]")),
    ("plain text", Result("plain text")),
    ("", Result("")),
    ("[1, 2]", Result("[1, 2]")),
    ("42", Result("42")),
    ('{"broken": ', Result('{"broken": ')),
    ("<untrusted_tool_result>x</untrusted_tool_result>", Result("<untrusted_tool_result>x</untrusted_tool_result>")),
    ("[" * 100_000, Result("[" * 100_000)),
    (DEEP, Result(DEEP)),
    ('{"output": "first\\nsecond' + CUT, Result("first\nsecond" + CUT)),
    ('{"output": "ends in an escape \\' + CUT, Result("ends in an escape " + CUT)),
    ('{"output": "ends in an escape \\u00e' + CUT, Result("ends in an escape " + CUT)),
    ('{"output": 1, "error"' + CUT, Result('{"output": 1, "error"' + CUT)),
]


@pytest.mark.parametrize(("raw", "read"), TABLE, ids=range(len(TABLE)))
def test_a_result_is_read_as_its_output_and_exit_code(raw: str, read: Result) -> None:
    assert summary(raw) == read


def test_a_nested_result_is_shown_and_one_too_deep_to_draw_is_shown_as_it_came() -> None:
    assert summary('{"a": {"b": "é"}}').text == '{\n  "a": {\n    "b": "é"\n  }\n}'
    deep = '{"x":' * 900 + "1" + "}" * 900
    assert json.loads(summary(deep).text) == json.loads(deep)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ('{"output": "hello", "exit_code": 0, "error": null}', False),
        ('{"output": "", "exit_code": 1, "error": null}', True),
        ('{"error": "Path does not exist"}', True),
        ('{"bytes_written": 12}', False),
        ("Tool 'x' does not exist. Available tools: terminal", True),
        ("Error executing tool: boom", True),
        ("Error: Invalid JSON arguments.", True),
        ("Skipped: other tool call in this response had invalid JSON.", True),
        ("[Tool execution cancelled — terminal was skipped due to user interrupt]", True),
        ("All fine, no Error", False),
        ("", False),
        (DEEP, False),
    ],
    ids=range(12),
)
def test_a_failure_is_recognised_where_only_the_result_tells_it(raw: str, expected: bool) -> None:
    assert failed(raw) is expected
