"""Anthropic's Messages pass through the router byte for byte; what they say reaches the run and the meter."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from sandboxes.inference.lanes import Lease
from sandboxes.inference.messages import MessagesTap, read_request
from sandboxes.inference.tap import RunTap
from sandboxes.inference.usage import cost_of, read_messages_usage
from sandboxes.inference.wires import ANTHROPIC
from tests.sandboxes.inference.conftest import House, Reply, Story
from tests.sandboxes.inference.messages_upstream import (
    STREAMS,
    WHOLE,
    Anthropic,
    end,
    event,
    running_anthropic,
    start,
    text,
)

TOOLS = [{"name": name, "description": "", "input_schema": {}} for name in ("terminal", "read_file")]
SYSTEM = [{"type": "text", "text": "You are Atlas.", "cache_control": {"type": "ephemeral"}}]
SENT = {
    "X-Api-Key": "stolen",
    "Authorization": "Bearer stolen",
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "interleaved-thinking-2025-05-14",
    "Cookie": "c=1",
}


@pytest.fixture
async def claude() -> AsyncIterator[Anthropic]:
    async with running_anthropic() as provider:
        yield provider


def lease(house: House, claude: Anthropic, model: str, **more: Any) -> Lease:
    return house.lease(model, kind="anthropic", base_url=claude.base_url, **more)


async def ask(house: House, lease: Lease, *messages: dict[str, Any], stream: bool = True, **more: Any) -> Reply:
    body = {
        "model": "label",
        "max_tokens": 64000,
        "stream": stream,
        "system": SYSTEM,
        "tools": TOOLS,
        "messages": messages or [{"role": "user", "content": [{"type": "text", "text": "Grüße"}]}],
        **more,
    }
    url = house.url(lease, "v1/messages")
    return await house.post(url, json.dumps(body, ensure_ascii=False).encode(), headers=SENT)


@pytest.mark.parametrize("model", ["text", "reasoning", "tools", "no-arguments", "cut-by-length"])
async def test_a_stream_reaches_the_runtime_byte_for_byte(house: House, claude: Anthropic, model: str) -> None:
    reply = await ask(house, lease(house, claude, model))

    assert reply.status == 200
    assert reply.body == b"".join(STREAMS[model])
    assert reply.headers["request-id"] == "req_1"


async def test_the_provider_gets_its_key_the_dialect_and_the_routes_model(house: House, claude: Anthropic) -> None:
    await ask(house, lease(house, claude, "text"))

    seen = claude.headers[0]
    assert seen["x-api-key"] == "sk-secret-key"
    assert seen["anthropic-version"] == "2023-06-01"
    assert seen["anthropic-beta"] == "interleaved-thinking-2025-05-14"
    assert not {"authorization", "cookie"} & seen.keys()
    assert "stolen" not in str(seen)
    assert claude.requests[0]["model"] == "text"
    assert "stream_options" not in claude.requests[0]
    assert "Grüße".encode() in claude.bodies[0], "everything but the model keeps its bytes"


async def test_an_answer_without_a_stream_is_metered_too(house: House, claude: Anthropic) -> None:
    reply = await ask(house, lease(house, claude, "text"), stream=False)

    assert json.loads(reply.body) == WHOLE
    assert (house.story.records[0].input_tokens, house.story.records[0].output_tokens) == (100, 20)


async def test_tokens_and_cost_count_what_the_cache_read(house: House, claude: Anthropic) -> None:
    await ask(house, lease(house, claude, "text"))

    [record] = house.story.records
    assert (record.status, record.input_tokens, record.output_tokens, record.cached_tokens) == (200, 100, 20, 40)
    assert record.cost == Decimal("0.0006")
    assert record.ttft_ms is not None


def test_writing_to_the_cache_costs_more_than_reading_from_it(house: House) -> None:
    told = {"input_tokens": 0, "cache_creation_input_tokens": 400, "output_tokens": 0}
    five_minutes = read_messages_usage(told)
    an_hour = read_messages_usage({**told, "cache_creation": {"ephemeral_1h_input_tokens": 400}})

    assert five_minutes.input_tokens == 400
    assert cost_of(five_minutes, house.target("m")) == Decimal("0.0015")
    assert cost_of(an_hour, house.target("m")) == Decimal("0.0024")
    assert cost_of(read_messages_usage({"output_tokens": 3}), house.target("m")) is None


async def test_thoughts_calls_and_results_are_told_once_each(house: House, claude: Anthropic) -> None:
    held = lease(house, claude, "tools")
    await ask(house, held)
    asked = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_a", "name": "terminal", "input": {}}]}
    given = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_a", "content": "two files"}]}
    for _ in range(2):
        await ask(house, held, {"role": "user", "content": "Grüße"}, asked, given)

    assert house.story.told[:5] == [
        ("proposed", "toolu_a", "terminal", ""),
        ("requested", "toolu_a", "terminal", {"command": "ls"}, ""),
        ("proposed", "toolu_b", "read_file", ""),
        ("requested", "toolu_b", "read_file", {"path": "x"}, ""),
        ("result", "toolu_a", "terminal", "two files", ""),
    ]
    assert len(house.story.told) == 5

    thinking = lease(house, claude, "reasoning")
    await ask(house, thinking)
    assert house.story.told[5:] == [("reasoning", "Let me ", ""), ("reasoning", "think.", "")]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10**9])
@pytest.mark.parametrize("model", ["tools", "reasoning", "cut-by-length", "no-arguments"])
def test_where_the_bytes_are_split_makes_no_difference(model: str, size: int) -> None:
    whole, pieces = Story(), Story()
    data = b"".join(STREAMS[model])
    for story, step in ((whole, 10**9), (pieces, size)):
        stream = RunTap(story).request({"stream": True, "tools": TOOLS, "messages": []}, ANTHROPIC)
        passed = b"".join(stream.feed(data[at : at + step]) for at in range(0, len(data), step)) + stream.end()
        assert passed == data
        assert stream.has_finished
        assert stream.is_done
        assert stream.usage.output_tokens == 20
        assert stream.broken == 0
    assert pieces.told == whole.told


def test_a_call_cut_short_by_length_was_never_made() -> None:
    story = Story()
    stream = RunTap(story).request({"stream": True, "tools": TOOLS, "messages": []}, ANTHROPIC)
    stream.feed(b"".join(STREAMS["cut-by-length"]))

    assert [each[0] for each in story.told] == ["proposed"]


def test_what_it_cannot_read_passes_unchanged_and_is_counted() -> None:
    stream = MessagesTap(None, frozenset(), str)
    strange = b"data: {not json\n\n" + event("content_block_delta", index="x") + b"data: []\n\n"

    assert stream.feed(start() + strange + b"".join([*text(0, "on"), *end()])) != b""
    assert stream.broken == 3
    assert stream.is_done


def test_a_request_of_strange_shape_is_read_leniently() -> None:
    seen = read_request({"system": 7, "messages": [None, {"role": "user", "content": [None, {"type": "tool_result"}]}]})

    assert (seen.results, seen.call_ids, seen.has_tools) == ((), frozenset(), False)


TABLE = [
    ("400", 400, "unknown"),
    ("401", 401, "provider_auth"),
    ("403", 401, "provider_auth"),
    ("billing", 402, "provider_billing"),
    ("404", 400, "model_not_found"),
    ("413", 413, "context_overflow"),
    ("429", 429, "provider_rate_limit"),
    ("500", 500, "unknown"),
    ("529", 529, "provider_unreachable"),
    ("overflow", 400, "context_overflow"),
    ("html-502", 502, "provider_unreachable"),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("model", "status", "code"), TABLE)
async def test_a_failure_is_told_in_anthropics_shape(
    house: House, claude: Anthropic, model: str, status: int, code: str, stream: bool
) -> None:
    reply = await ask(house, lease(house, claude, model), stream=stream)

    [record] = house.story.records
    assert (reply.status, record.status, record.error_code) == (status, status, code)
    assert json.loads(reply.body)["type"] == "error"
    assert reply.error["type"]
    assert reply.error["message"]
    assert "sk-secret-key" not in str(reply.body) + record.error_message
    if model == "429":
        assert reply.headers["Retry-After"] == "7"


async def test_an_error_inside_a_stream_is_in_the_record(house: House, claude: Anthropic) -> None:
    await ask(house, lease(house, claude, "overloaded-midway"))
    await ask(house, lease(house, claude, "ends-early"))

    overloaded, early = house.story.records
    assert overloaded.error_code == "provider_unreachable"
    assert "Overloaded" in overloaded.error_message
    assert "ended its answer early" in early.error_message


@pytest.mark.parametrize(("model", "status"), [("hang", 504), ("idle", 200)])
async def test_a_provider_that_hangs_is_given_up(house: House, claude: Anthropic, model: str, status: int) -> None:
    async with asyncio.timeout(60):
        reply = await ask(house, lease(house, claude, model, first_byte_timeout_s=1.0, idle_timeout_s=1.0))

    assert (reply.status, reply.broke_off) == (status, model == "idle")
    assert house.story.records[0].error_code == "provider_timeout"


async def test_a_connection_cut_in_the_middle_stays_unfinished(house: House, claude: Anthropic) -> None:
    reply = await ask(house, lease(house, claude, "cut"))

    assert reply.broke_off
    assert house.story.records[0].error_code == "provider_unreachable"


async def test_each_run_is_asked_in_the_format_its_provider_speaks(house: House, claude: Anthropic) -> None:
    wrong = await house.ask(lease(house, claude, "text"))
    other = await ask(house, house.lease("text"))

    assert (wrong.status, other.status) == (400, 400)
    assert wrong.error["message"] == "This run's model is asked by Messages, not by chat completions."
    assert other.error["message"] == "This run's model is asked by chat completions, not by Messages."
    assert not claude.requests
    assert not house.provider.requests
