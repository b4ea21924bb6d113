"""The rehearsal model through the router: the same path as a provider, good days and bad."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from sandboxes.inference.lanes import Lease
from tests.sandboxes.inference.conftest import House, Reply


def lease(house: House, **more: Any) -> Lease:
    more = {"base_url": "", "api_key": "", **more}
    return house.lease("rehearsal-1", kind="rehearsal", **more)


async def say(house: House, text: str, *, on: Lease | None = None, **more: Any) -> Reply:
    return await house.ask(on or lease(house), messages=[{"role": "user", "content": text}], **more)


async def test_it_streams_words_then_usage_then_the_end(house: House) -> None:
    reply = await say(house, "Hello")

    assert reply.status == 200
    assert len(reply.chunks) > 20
    assert "rehearsal-1" in reply.text
    assert reply.chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert reply.body.endswith(b"data: [DONE]\n\n")
    [record] = house.story.records
    usage = reply.chunks[-1]["usage"]
    assert (record.input_tokens, record.output_tokens) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert record.output_tokens == -(-len(reply.text) // 4)


async def test_the_same_message_gets_the_same_bytes(house: House) -> None:
    first, second = await say(house, "run: ls\nthink aloud"), await say(house, "run: ls\nthink aloud")

    assert first.body == second.body


async def test_without_a_stream_it_says_the_same(house: House) -> None:
    streamed, whole = await say(house, "Hello"), await say(house, "Hello", stream=False)

    assert json.loads(whole.body)["choices"][0]["message"]["content"] == streamed.text
    assert json.loads(whole.body)["usage"] == streamed.chunks[-1]["usage"]


async def test_thinking_and_tool_calls_reach_the_run(house: House) -> None:
    await say(house, "think: first this\nrun: echo hello && id\nrun: ls")

    told = house.story.told
    assert "".join(each[1] for each in told if each[0] == "reasoning") == "first this"
    assert [each[2:4] for each in told if each[0] == "requested"] == [
        ("terminal", {"command": "echo hello && id"}),
        ("terminal", {"command": "ls"}),
    ]


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("401", 401, "provider_auth"),
        ("402", 402, "provider_billing"),
        ("404", 400, "model_not_found"),
        ("429", 429, "provider_rate_limit"),
        ("500", 500, "unknown"),
        ("html", 400, "provider_unreachable"),
    ],
)
async def test_a_rehearsed_failure_looks_like_a_providers(house: House, kind: str, status: int, code: str) -> None:
    reply = await say(house, f"fail: {kind}")

    assert (reply.status, reply.error["code"]) == (status, code)
    assert house.story.records[0].error_code == code


async def test_a_rehearsed_silence_runs_into_the_time_limit(house: House) -> None:
    reply = await say(house, "hang", on=lease(house, first_byte_timeout_s=0.05))

    assert (reply.status, reply.error["code"]) == (504, "provider_timeout")


async def test_a_rehearsed_break_ends_the_stream_unfinished(house: House) -> None:
    reply = await say(house, "disconnect")

    assert reply.broke_off
    assert reply.text
    assert house.story.records[0].error_code == "provider_unreachable"


async def test_the_route_sets_the_pace_and_the_idle_limit_knows_it(house: House) -> None:
    slow = lease(house, options=(("delay_s", 0.05),), idle_timeout_s=5)
    before = asyncio.get_running_loop().time()

    await say(house, "words: 6", on=slow)

    assert asyncio.get_running_loop().time() - before >= 6 * 0.05
