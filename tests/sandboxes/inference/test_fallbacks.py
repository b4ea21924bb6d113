"""When a provider fails before it has said a word, the next of the route's fallbacks is asked."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from agents.errors import LogosError
from sandboxes.inference import breaker
from sandboxes.inference.lanes import Lease
from tests.sandboxes.inference.conftest import House
from tests.sandboxes.inference.upstream import STREAMS


def lease(house: House, *models: str, **first: object) -> Lease:
    """A lease whose first model falls back on the others, each a route of its own."""
    found = house.lease(models[0], **first)
    others = tuple(house.target(model, route_id=f"route_{number}") for number, model in enumerate(models[1:], 2))
    found.target = replace(found.target, fallbacks=others)
    return found


@pytest.mark.parametrize("model", ["401", "402", "404", "429", "500", "503", "html-502", "drops", "text-plain"])
@pytest.mark.parametrize("stream", [True, False])
async def test_the_next_is_asked_when_one_fails(house: House, model: str, stream: bool) -> None:
    reply = await house.ask(lease(house, model, "text"), stream=stream)

    assert reply.status == 200
    failed, answered = house.story.records
    assert (failed.route_id, answered.route_id) == ("route_1", "route_2")
    assert failed.error_code
    assert failed.cost is None
    assert (answered.model, answered.error_code, answered.input_tokens) == ("text", "", 100)
    assert [request["model"] for request in house.provider.requests][-1] == "text"


async def test_a_stream_of_the_fallback_comes_byte_for_byte(house: House) -> None:
    assert (await house.ask(lease(house, "503", "500", "text"))).body == b"".join(STREAMS["text"])


@pytest.mark.parametrize("model", ["400", "overflow"])
async def test_what_no_provider_could_mend_is_told_at_once(house: House, model: str) -> None:
    reply = await house.ask(lease(house, model, "text"))

    assert reply.status == 400
    assert len(house.story.records) == 1


async def test_the_last_ones_failure_is_what_the_runtime_is_told(house: House) -> None:
    reply = await house.ask(lease(house, "503", "429"))

    assert (reply.status, reply.headers["Retry-After"]) == (429, "7")
    assert [record.error_code for record in house.story.records] == ["provider_unreachable", "provider_rate_limit"]


@pytest.mark.parametrize("model", ["cut", "error-chunk", "ends-early"])
async def test_an_answer_that_has_begun_is_nobody_elses_to_finish(house: House, model: str) -> None:
    """Half of one model's sentence and half of another's would be a third thing nobody said."""
    await house.ask(lease(house, model, "text"))

    assert len(house.provider.requests) == 1
    assert len(house.story.records) == 1


async def test_a_provider_that_hangs_is_left_for_the_next(house: House) -> None:
    async with asyncio.timeout(60):
        reply = await house.ask(lease(house, "hang", "text", first_byte_timeout_s=1.0, idle_timeout_s=1.0))

    assert reply.status == 200
    assert house.story.records[0].error_code == "provider_timeout"


async def test_a_provider_left_alone_for_a_moment_costs_no_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "FAILURES_IN_A_ROW", 1)
    held = lease(house, "text", "text", base_url="http://127.0.0.1:1/v1")
    assert (await house.ask(held)).status == 200

    assert (await house.ask(held)).status == 200

    assert "left alone for a moment" in house.story.records[2].error_message
    assert house.story.records[2].duration_ms == 0


async def test_a_runtime_that_left_is_asked_for_no_more(house: House) -> None:
    held = lease(house, "hang", "text")
    leaving = asyncio.create_task(house.ask(held))
    async with asyncio.timeout(60):
        while not house.provider.requests:
            await asyncio.sleep(0.01)
        leaving.cancel()
        while not house.story.records:
            await asyncio.sleep(0.01)

    assert [request["model"] for request in house.provider.requests] == ["hang"]
    assert house.story.records[0].status == 499


async def test_a_run_that_may_make_no_more_calls_asks_nobody(house: House) -> None:
    held = lease(house, "503", "text")
    held.refusal = LogosError("The budget of this run is spent.", reason="budget_exceeded")

    assert (await house.ask(held)).status == 402
    assert not house.provider.requests
