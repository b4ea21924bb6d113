"""The rehearsal model follows its script: the same conversation, the same answer, every time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandboxes.inference.conversations import text_of
from sandboxes.inference.rehearsal import Cut, Fail, Hang, Pace, Say, Step, Think, ToolCall, read_wishes, script
from tests.sandboxes.inference.conftest import TOOLS


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def answer(calls: list[ToolCall], *results: str) -> list[dict[str, Any]]:
    """The messages a runtime adds after it has made these calls."""
    made = [
        {"id": each.id, "type": "function", "function": {"name": each.name, "arguments": json.dumps(each.args)}}
        for each in calls
    ]
    tail = [
        {"role": "tool", "tool_call_id": each.id, "content": text} for each, text in zip(calls, results, strict=True)
    ]
    return [{"role": "assistant", "content": "", "tool_calls": made}, *tail]


def calls_of(steps: list[Step]) -> list[ToolCall]:
    return [step for step in steps if isinstance(step, ToolCall)]


def said(steps: list[Step]) -> str:
    return "".join(step.text for step in steps if isinstance(step, Say))


def test_it_says_what_it_is_and_what_it_can_do() -> None:
    reply = said(script([user("Hello")], TOOLS))

    assert "rehearsal-1" in reply
    assert "script" in reply
    assert "`run: uname -a`" in reply


@pytest.mark.parametrize("text", ["", "Hello", "markdown", "what did I say", "remember: 42", "words: 30", "run: ls"])
def test_every_reply_names_the_model_or_reports_a_call(text: str) -> None:
    steps = script([user("one"), {"role": "assistant", "content": "x"}, user(text)], TOOLS)

    assert "rehearsal model" in said(steps) or calls_of(steps)


def test_run_lines_become_terminal_calls_of_one_turn() -> None:
    steps = script([user("Please\nrun: echo hello && id\n- run: ls -la\nthanks")], TOOLS)

    assert [(each.name, each.args) for each in calls_of(steps)] == [
        ("terminal", {"command": "echo hello && id"}),
        ("terminal", {"command": "ls -la"}),
    ]


def test_file_lines_become_file_calls() -> None:
    steps = script([user("write: notes.txt = a = b\nread: notes.txt")], TOOLS)

    assert [(each.name, each.args) for each in calls_of(steps)] == [
        ("write_file", {"path": "notes.txt", "content": "a = b"}),
        ("read_file", {"path": "notes.txt"}),
    ]


def test_then_run_waits_for_the_results_before_it() -> None:
    conversation = [user("run: a\nrun: b\nthen run: c")]
    first = calls_of(script(conversation, TOOLS))
    conversation += answer(first, "A", "B")
    second = calls_of(script(conversation, TOOLS))
    conversation += answer(second, "C")
    last = script(conversation, TOOLS)

    assert [each.args["command"] for each in first] == ["a", "b"]
    assert [each.args["command"] for each in second] == ["c"]
    assert calls_of(last) == []
    assert all(f"`{each}`" in said(last) for each in "abc")


def test_the_report_quotes_output_and_exit_code() -> None:
    conversation = [user("run: echo hello")]
    conversation += answer(
        calls_of(script(conversation, TOOLS)), '{"output": "hello\\n", "exit_code": 0, "error": null}'
    )

    reply = said(script(conversation, TOOLS))

    assert "`echo hello` ended with exit code 0" in reply
    assert "```\nhello\n```" in reply


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ('{"output": "", "exit_code": 0, "error": null}', "without output"),
        ('{"output": "", "exit_code": -1, "error": "BLOCKED: Command denied by user."}', "BLOCKED: Command denied"),
        ('{"output": "````", "exit_code": 0}', "`````\n````\n`````"),
        ("plain words", "plain words"),
        ("[1, 2]", "[1, 2]"),
        ('{"output": "hi", "exit_code": 0}\n\n[Tool loop warning: again]', "```\nhi\n```"),
        ('{"output": "' + "x" * 5000 + '"}', "1000 more characters"),
    ],
)
def test_any_result_can_be_reported(result: str, told: str) -> None:
    conversation = [user("run: x")]
    conversation += answer(calls_of(script(conversation, TOOLS)), result)

    assert told in said(script(conversation, TOOLS))


def test_ids_repeat_for_the_same_conversation_and_never_within_one() -> None:
    conversation, seen = [user("run: a\nrun: b")], set()
    for turn in range(20):
        calls = calls_of(script(conversation, TOOLS))
        assert calls == calls_of(script([{"role": "system", "content": f"Day {turn}"}, *conversation], TOOLS))
        seen |= {each.id for each in calls}
        conversation += [*answer(calls, "A", "B"), {"role": "assistant", "content": "x"}, user("run: a\nrun: b")]

    assert len(seen) == 40
    assert {len(each) for each in seen} == {len("call_") + 24}


def test_without_the_tool_it_says_so_and_calls_nothing() -> None:
    for tools in ([], [TOOLS[1]]):
        steps = script([user("run: rm -rf build")], tools)
        assert calls_of(steps) == []
        assert "has no `terminal` tool" in said(steps)
        assert "rm -rf build" in said(steps)


def test_it_thinks_first_when_asked() -> None:
    aloud = script([user("Think aloud, please")], TOOLS)
    given = script([user("think: step one\nrun: ls")], TOOLS)

    assert isinstance(aloud[1], Think)
    assert [type(step) for step in given] == [Pace, Think, Say, ToolCall]
    assert given[1] == Think("step one")
    assert not any(
        isinstance(step, Think) for step in script([user("think: x\nrun: a"), *answer(calls_of(given), "A")], TOOLS)
    )


@pytest.mark.parametrize(
    ("line", "delay_s"),
    [
        ("slow: 80ms", 0.08),
        ("Slow: 2s", 2.0),
        ("slow: 0.5 s", 0.5),
        ("slow: 99s", 5.0),
        ("slow: 50", 0.05),
        ("slow: no", 0.01),
    ],
)
def test_its_pace_can_be_set(line: str, delay_s: float) -> None:
    assert script([user(line)], TOOLS, delay_s=0.01)[0] == Pace(delay_s)


@pytest.mark.parametrize("words", [1, 50, 500])
def test_a_long_reply_has_exactly_so_many_words(words: int) -> None:
    assert len(said(script([user(f"words: {words}")], TOOLS)).split()) == words


@pytest.mark.parametrize("kind", ["401", "402", "404", "429", "500", "html"])
def test_it_fails_when_told_and_again_at_every_repetition(kind: str) -> None:
    for _ in range(3):
        assert script([user(f"fail: {kind}")], TOOLS)[1:] == [Fail(kind)]


def test_it_can_hang_and_break_off() -> None:
    assert script([user("hang")], TOOLS)[1:] == [Hang()]
    broken = script([user("disconnect")], TOOLS)
    assert isinstance(broken[-1], Cut)
    assert len(said(broken)) > 10


def test_after_breaking_off_it_goes_on_when_asked_to() -> None:
    again = "[System: The previous response was cut off by a network error mid-stream. Continue exactly where…]"
    steps = script([user("disconnect"), {"role": "assistant", "content": "Hel"}, user(again)], TOOLS)

    assert not any(isinstance(step, Cut) for step in steps)
    assert "here is the rest" in said(steps)


def test_at_the_runtimes_limit_it_reports_what_was_done() -> None:
    conversation = [user("run: a\nthen run: b")]
    conversation += answer(calls_of(script(conversation, TOOLS)), "A")
    limit = "You've reached the maximum number of tool-calling iterations allowed. Please provide a final response."
    steps = script([*conversation, user(limit)], [])

    assert "`a`" in said(steps)
    assert calls_of(steps) == []


def test_it_quotes_what_was_said_before() -> None:
    conversation = [user("My cat is Mia"), {"role": "assistant", "content": "ok"}, user("It is late")]
    reply = said(script([*conversation, {"role": "assistant", "content": "ok"}, user("What did I say?")], TOOLS))

    assert "1. “My cat is Mia”" in reply
    assert "2. “It is late”" in reply
    assert "first message" in said(script([user("what did I say")], TOOLS))


def test_the_markdown_sample_has_a_table_and_code() -> None:
    reply = said(script([user("Show me markdown")], TOOLS))

    assert "| --- |" in reply
    assert "```python" in reply


@pytest.mark.parametrize(
    "line", ["running: late", "please run: ls", "write: no equals sign", "words: many", "fail: 418", "hang on", "run:"]
)
def test_a_line_that_is_no_directive_is_just_text(line: str) -> None:
    wishes = read_wishes(line)

    assert wishes.text == line
    assert (wishes.turns, wishes.fail, wishes.hang, wishes.words) == ([], "", False, None)


def test_parts_and_odd_messages_are_understood() -> None:
    parts = [{"type": "text", "text": "run: ls"}, {"type": "image_url", "image_url": {"url": "data:"}}]

    assert calls_of(script([{"role": "user", "content": parts}], TOOLS))[0].args == {"command": "ls"}
    assert said(script([], TOOLS))
    assert said(script([{"role": "user", "content": None}], []))
    assert text_of({"a": 1}) == '{"a": 1}'
