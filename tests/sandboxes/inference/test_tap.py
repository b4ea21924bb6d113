"""The tap tells the run what its calls say, once each, and mends ids without touching anything else."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest

from sandboxes.inference.answers import MAX_LINE, StreamTap
from sandboxes.inference.tap import RunTap, new_call_id
from tests.sandboxes.inference.conftest import TOOLS, House, Story
from tests.sandboxes.inference.upstream import DONE, END, STREAMS, TEXT, TOOLS_END, call, chunk

SYSTEM = {"role": "system", "content": "You are Atlas."}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def asked(*call_ids: str, name: str = "terminal") -> dict[str, Any]:
    calls = [{"id": each, "type": "function", "function": {"name": name, "arguments": "{}"}} for each in call_ids]
    return {"role": "assistant", "content": "", "tool_calls": calls}


def result(call_id: str, text: str = "ok") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def body(*messages: dict[str, Any], stream: bool = True, tools: bool = True) -> dict[str, Any]:
    return {"messages": [SYSTEM, *messages], "stream": stream, **({"tools": TOOLS} if tools else {})}


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.fixture
def tap(story: Story) -> RunTap:
    numbers = itertools.count(1)
    return RunTap(story, new_id=lambda: f"call_new{next(numbers)}")


def passed(stream: StreamTap, data: bytes, *, size: int = 10**9) -> bytes:
    pieces = [stream.feed(data[start : start + size]) for start in range(0, len(data), size)]
    return b"".join(pieces) + stream.end()


TOLD_OF_TOOLS = [
    ("proposed", "call_a", "terminal", ""),
    ("proposed", "call_b", "read_file", ""),
    ("requested", "call_a", "terminal", {"command": "ls"}, ""),
    ("requested", "call_b", "read_file", {"path": "x"}, ""),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000, 10**9])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_where_the_bytes_are_split_makes_no_difference(tap: RunTap, story: Story, size: int, line_end: bytes) -> None:
    data = b"".join([*STREAMS["reasoning"][:2], *TEXT, *STREAMS["tools"]]).replace(b"\n", line_end)
    stream = tap.request(body(user("hi")))

    assert passed(stream, data, size=size) == data
    assert story.told == [("reasoning", "Let me ", ""), ("reasoning", "think.", ""), *TOLD_OF_TOOLS]
    assert stream.usage.input_tokens == 100
    assert (stream.has_finished, stream.is_done, stream.broken) == (True, True, 0)


@pytest.mark.parametrize("size", [1, 5, 10**9])
def test_a_call_without_an_id_gets_one_before_the_runtime_sees_it(tap: RunTap, story: Story, size: int) -> None:
    out = passed(tap.request(body(user("hi"))), b"".join(STREAMS["no-ids"]), size=size)

    ids = [part["id"] for document in _chunks(out) for part in _calls(document) if part["function"].get("name")]
    assert ids == ["call_new1", "call_new2"]
    assert [told[1:4] for told in story.told if told[0] == "requested"] == [
        ("call_new1", "terminal", {"command": "a"}),
        ("call_new2", "terminal", {"command": "b"}),
    ]
    assert out.endswith(b"".join(TOOLS_END))


def test_calls_that_all_come_at_index_0_are_told_apart(tap: RunTap, story: Story) -> None:
    out = passed(tap.request(body(user("hi"))), b"".join(STREAMS["all-at-index-0"]))

    assert [part["id"] for document in _chunks(out) for part in _calls(document)] == ["call_new1", "call_new2"]
    assert [told[3] for told in story.told if told[0] == "requested"] == [{"command": "a"}, {"command": "b"}]


def test_a_name_repeated_in_every_delta_is_one_call(tap: RunTap, story: Story) -> None:
    deltas = [chunk(call(0, "terminal", '{"comm')), chunk(call(0, "terminal", 'and": "a"}')), *TOOLS_END]

    passed(tap.request(body(user("hi"))), b"".join(deltas))

    assert [told[3] for told in story.told if told[0] == "requested"] == [{"command": "a"}]


def test_an_id_the_transcript_already_has_is_replaced(tap: RunTap, story: Story) -> None:
    history = body(user("hi"), asked("call_0"), result("call_0"))

    out = passed(tap.request(history), b"".join(STREAMS["repeats-ids"]))

    assert [part["id"] for document in _chunks(out) for part in _calls(document)] == ["call_new1"]


def test_two_calls_of_one_answer_never_share_an_id(tap: RunTap) -> None:
    deltas = [chunk(call(0, "a", "{}", id="x")), chunk(call(1, "b", "{}", id="x")), *TOOLS_END]

    out = passed(tap.request(body(user("hi"))), b"".join(deltas))

    assert [part["id"] for document in _chunks(out) for part in _calls(document)] == ["x", "call_new1"]


def test_made_up_ids_look_like_the_real_ones() -> None:
    made = {new_call_id() for _ in range(1000)}

    assert len(made) == 1000
    assert {len(each) for each in made} == {len("call_") + 24}


def test_an_answer_without_a_stream_is_mended_and_told_too(tap: RunTap, story: Story) -> None:
    message = {"content": "", "reasoning_content": "hm", "tool_calls": [{"function": {"name": "t", "arguments": "{}"}}]}
    answer = json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}]}).encode()

    out = tap.request(body(user("hi"), stream=False)).whole(answer)

    assert json.loads(out)["choices"][0]["message"]["tool_calls"][0]["id"] == "call_new1"
    assert [told[0] for told in story.told] == ["reasoning", "proposed", "requested"]


def test_a_call_whose_arguments_never_ended_was_never_requested(tap: RunTap, story: Story) -> None:
    passed(tap.request(body(user("hi"))), b"".join(STREAMS["cut-in-args"]))
    cut_by_length = [chunk(call(0, "terminal", '{"command": "rm', id="call_z")), chunk({}, "length"), DONE]
    passed(tap.request(body(user("hi"))), b"".join(cut_by_length))

    assert [told[0] for told in story.told] == ["proposed", "proposed"]


def test_arguments_that_are_no_json_are_kept_as_they_are(tap: RunTap, story: Story) -> None:
    passed(tap.request(body(user("hi"))), chunk(call(0, "t", "not json", id="c")) + chunk({}, "tool_calls"))

    assert story.told[-1] == ("requested", "c", "t", {"_raw": "not json"}, "")


@pytest.mark.parametrize(
    "line",
    [
        b"data: {broken\n\n",
        b"data: 5\n\n",
        b'data: {"choices":[5]}\n\n',
        b": comment\n\n",
        b"event: x\n",
        b"data:\n",
        b"\xff\xfe\n",
    ],
)
def test_a_line_that_cannot_be_read_passes_through(tap: RunTap, story: Story, line: bytes) -> None:
    data = b"".join([chunk({"reasoning": "a"}), line, chunk({"reasoning": "b"}), *TEXT, *END])
    stream = tap.request(body(user("hi")))

    assert passed(stream, data) == data
    assert [told[1] for told in story.told] == ["a", "b"]


def test_a_line_without_end_is_not_held_for_ever(tap: RunTap) -> None:
    stream = tap.request(body(user("hi")))
    part = b"x" * (MAX_LINE // 2)

    out = b"".join(stream.feed(part) for _ in range(5)) + stream.feed(b"\n" + TEXT[1]) + stream.end()

    assert out == part * 5 + b"\n" + TEXT[1]
    assert stream.broken == 1
    assert stream.has_begun


def test_results_are_told_once_however_often_a_request_is_repeated(tap: RunTap, story: Story) -> None:
    passed(tap.request(body(user("hi"))), b"".join(STREAMS["tools"]))
    story.told.clear()
    request = body(user("hi"), asked("call_a", "call_b"), result("call_a", "A"), result("call_b", "B"))

    for _ in range(3):
        tap.request(request)

    assert story.told == [("result", "call_a", "terminal", "A", ""), ("result", "call_b", "read_file", "B", "")]


def test_a_summary_without_tools_still_brings_the_last_results(tap: RunTap, story: Story) -> None:
    passed(tap.request(body(user("hi"))), b"".join(STREAMS["tools"]))
    story.told.clear()

    stream = tap.request(body(user("hi"), asked("call_a"), result("call_a"), stream=False, tools=False))
    stream.whole(json.dumps({"choices": [{"message": {"reasoning_content": "sum up"}}]}).encode())

    assert [told[0] for told in story.told] == ["result"]


def test_side_errands_are_not_part_of_the_story(tap: RunTap, story: Story) -> None:
    tap.request(body(user("hi")))
    errand = {"messages": [user("Describe this picture")], "stream": False}

    tap.request(errand).whole(json.dumps({"choices": [{"message": {"reasoning": "a cat"}}]}).encode())

    assert story.told == []


def test_an_agent_without_tools_thinks_aloud_all_the_same(tap: RunTap, story: Story) -> None:
    passed(tap.request(body(user("hi"), tools=False)), b"".join(STREAMS["reasoning"]))

    assert [told[1] for told in story.told] == ["Let me ", "think."]


def test_a_sub_agent_has_a_conversation_of_its_own(tap: RunTap, story: Story) -> None:
    parent = [user("Do two things")]
    children = [[{"role": "system", "content": f"You are a focused subagent. {n}"}, user(f"Goal {n}")] for n in "12"]
    passed(tap.request(body(*parent)), chunk(call(0, "delegate_task", "{}", id="d")) + chunk({}, "tool_calls"))
    for number, child in enumerate(children):
        deltas = chunk(call(0, "terminal", "{}", id=f"c{number}")) + chunk({}, "tool_calls")
        passed(tap.request({"messages": child, "stream": True, "tools": TOOLS}), deltas)
    for number, child in reversed(list(enumerate(children))):
        messages = [*child, asked(f"c{number}"), result(f"c{number}")]
        tap.request({"messages": messages, "stream": True, "tools": TOOLS})
    tap.request(body(*parent, asked("d"), result("d")))

    key = {told[1]: told[-1] for told in story.told if told[0] == "requested"}
    assert key["d"] == ""
    assert len({key["d"], key["c0"], key["c1"]}) == 3
    assert [(told[1], told[-1]) for told in story.told if told[0] == "result"] == [
        ("c1", key["c1"]),
        ("c0", key["c0"]),
        ("d", ""),
    ]


def test_a_compressed_transcript_is_still_the_runs_own(tap: RunTap, story: Story) -> None:
    passed(tap.request(body(user("A long story"))), b"".join(STREAMS["tools"]))
    passed(tap.request(body(user("[Summary of what came before]"))), chunk({"reasoning": "on I go"}))

    assert story.told[-1] == ("reasoning", "on I go", "")


def test_after_a_restart_a_sub_agent_is_not_taken_for_the_run(story: Story) -> None:
    child = [{"role": "system", "content": "You are a focused subagent working on…"}, user("Goal")]
    tap = RunTap(story)

    passed(tap.request({"messages": child, "stream": True, "tools": TOOLS}), chunk({"reasoning": "child"}))
    passed(tap.request(body(user("hi"), asked("x"), result("x"))), chunk({"reasoning": "parent"}))

    assert [told[-1] == "" for told in story.told if told[0] == "reasoning"] == [False, True]


def test_a_run_that_fails_to_listen_does_not_stop_the_relay(tap: RunTap, story: Story) -> None:
    def fail(*args: Any, **named: Any) -> None:
        raise RuntimeError("no")

    story.reasoning = fail  # type: ignore[method-assign]
    data = b"".join(STREAMS["reasoning"])

    assert passed(tap.request(body(user("hi"))), data) == data
    assert tap.mishaps == 2


@pytest.mark.parametrize("messages", [None, 5, "x", [None, 5, {}], [{"role": "assistant", "tool_calls": [7, {}]}]])
def test_a_request_of_odd_shape_is_no_error(tap: RunTap, messages: Any) -> None:
    assert passed(tap.request({"messages": messages, "tools": TOOLS}), b"".join(TEXT)) == b"".join(TEXT)


async def test_ids_are_mended_over_the_wire_byte_by_byte(house: House) -> None:
    reply = await house.ask(house.lease("dribble"))

    ids = [part["id"] for document in reply.chunks for part in _calls(document) if part["function"].get("name")]
    assert ids == [told[1] for told in house.story.told if told[0] == "requested"]
    assert len(set(ids)) == 2


async def test_the_run_hears_of_a_call_before_the_runtime_does(house: House) -> None:
    document = {"model": "m", "stream": True, "messages": [user("hi")], "tools": TOOLS}
    told_before: list[list[str]] = []

    async def receive() -> dict[str, Any]:
        if not told_before:
            told_before.append([])
            return {"type": "http.request", "body": json.dumps(document).encode()}
        return await asyncio.get_running_loop().create_future()

    async def send(message: dict[str, Any]) -> None:
        if b'"finish_reason": "tool_calls"' in message.get("body", b""):
            told_before.append([told[0] for told in house.story.told])

    path = f"/lane/{house.lease('tools').lane}/v1/chat/completions"
    scope = {"type": "http", "method": "POST", "path": path, "headers": []}
    await house.router.for_sandbox("box_1")(scope, receive, send)

    assert told_before[1].count("requested") == 2


def _chunks(data: bytes) -> list[dict[str, Any]]:
    lines = [line[5:].strip() for line in data.splitlines() if line.startswith(b"data:")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


def _calls(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for choice in document["choices"] for part in choice["delta"].get("tool_calls", [])]
