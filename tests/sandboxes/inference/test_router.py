"""The router passes bytes on, adds the key, and refuses what belongs to no run."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import aiohttp
import pytest

from agents.errors import Code, LogosError
from sandboxes.inference.lanes import DRAIN_S
from tests.sandboxes.inference.conftest import House
from tests.sandboxes.inference.upstream import STREAMS


async def test_a_stream_reaches_the_runtime_byte_for_byte(house: House) -> None:
    reply = await house.ask(house.lease("text"))

    assert reply.status == 200
    assert reply.body == b"".join(STREAMS["text"])
    assert reply.headers["Content-Type"].startswith("text/event-stream")


async def test_the_key_and_the_model_are_the_routes_own(house: House) -> None:
    sent = {"Authorization": "Bearer stolen", "X-Api-Key": "stolen", "Cookie": "c=1", "X-Forwarded-For": "1.2.3.4"}

    await house.ask(house.lease("text"), headers=sent)

    seen = house.provider.headers[0]
    assert seen["authorization"] == "Bearer sk-secret-key"
    assert not {"x-api-key", "cookie", "x-forwarded-for", "x-logos-run"} & seen.keys()
    assert "stolen" not in str(seen)
    assert house.provider.requests[0]["model"] == "text"
    assert house.provider.requests[0]["stream_options"] == {"include_usage": True}


async def test_cookies_and_credentials_of_an_answer_stay_outside(house: House) -> None:
    for stream in (True, False):
        reply = await house.ask(house.lease("text"), stream=stream)
        assert not {"set-cookie", "authorization"} & {name.lower() for name in reply.headers}


async def test_an_answer_without_a_stream_is_metered_too(house: House) -> None:
    reply = await house.ask(house.lease("text"), stream=False)

    assert json.loads(reply.body)["choices"][0]["message"]["content"] == "Hello wörld."
    assert "stream_options" not in house.provider.requests[0]
    assert not house.story.records[0].streamed
    assert house.story.records[0].input_tokens == 100


async def test_every_call_leaves_one_record_with_tokens_times_and_cost(house: House) -> None:
    await house.ask(house.lease("text"))

    [record] = house.story.records
    assert (record.run_id, record.sandbox_id, record.route_id, record.model) == ("run_1", "box_1", "route_1", "text")
    assert (record.status, record.error_code, record.late, record.streamed) == (200, "", False, True)
    assert (record.input_tokens, record.output_tokens) == (100, 20)
    assert (record.cached_tokens, record.reasoning_tokens) == (40, 5)
    assert record.cost == Decimal("0.0006")
    assert record.ttft_ms is not None
    assert 0 < record.ttft_ms <= record.duration_ms


@pytest.mark.parametrize(("model", "price"), [("no-usage", Decimal("3")), ("text", None)])
async def test_an_unknown_price_or_count_makes_the_cost_unknown(
    house: House, model: str, price: Decimal | None
) -> None:
    await house.ask(house.lease(model, price_input=price))

    assert house.story.records[0].cost is None


async def test_records_are_written_behind_the_call(house: House) -> None:
    await asyncio.gather(*(house.ask(house.lease("text")) for _ in range(5)))
    async with asyncio.timeout(60):
        while len(house.written) < 5:
            await asyncio.sleep(0.01)

    assert {record.id for record in house.written} == {record.id for record in house.story.records}


async def test_a_lane_that_nobody_leased_is_refused(house: House) -> None:
    for lane in ("none", "7", "-1", "99999999"):
        reply = await house.post(f"{house.address}/lane/{lane}/v1/chat/completions", b"{}")
        assert reply.status == 400
        assert "belongs to no run" in reply.error["message"]
    assert house.provider.requests == []


@pytest.mark.parametrize("path", ["/", "/lane/1/api/tags", "/lane/1/v1/props", "/v1/chat/completions", "/version"])
async def test_probes_get_a_quick_404_in_the_shape_clients_know(house: House, path: str) -> None:
    house.lease("text", lane=1)
    async with house.client.get(house.address + path) as response:
        assert response.status == 404
        assert (await response.json())["error"]["code"] == "not_found"


async def test_the_model_list_shows_the_leased_model_and_its_context(house: House) -> None:
    lease = house.lease("text")
    async with house.client.get(house.url(lease, "v1/models")) as response:
        assert (await response.json())["data"][0] | {"created": 0} == {
            "id": "text",
            "object": "model",
            "created": 0,
            "owned_by": "logos",
            "context_length": 32000,
        }


async def test_a_call_that_names_another_run_is_not_booked_here(house: House) -> None:
    lease = house.lease("text")
    lease.runtime_run_id = "run_new"

    assert (await house.ask(lease, headers={"X-Logos-Run": "run_old"})).status == 409
    assert (await house.ask(lease, headers={"X-Logos-Run": "run_new"})).status == 200
    assert (await house.ask(lease)).status == 200
    assert len(house.story.records) == 2


async def test_a_late_call_is_booked_to_the_old_run_and_told_to_nobody(house: House) -> None:
    lease = house.lease("reasoning")
    house.lanes.release(lease)

    assert (await house.ask(lease)).status == 200
    assert house.story.records[0].late
    assert house.story.told == []
    assert DRAIN_S >= 60


async def test_a_run_whose_budget_is_spent_is_refused_at_once(house: House) -> None:
    lease = house.lease("text")
    lease.refusal = LogosError("This run has used up its budget.", reason=Code.BUDGET_EXCEEDED)

    reply = await house.ask(lease)

    assert (reply.status, reply.error["code"]) == (402, "budget_exceeded")
    assert house.provider.requests == []


async def test_a_changed_route_serves_the_next_call(house: House) -> None:
    lease = house.lease("text")
    await house.ask(lease)
    lease.target = house.target("reasoning")
    await house.ask(lease)

    assert [request["model"] for request in house.provider.requests] == ["text", "reasoning"]
    assert [record.model for record in house.story.records] == ["text", "reasoning"]


async def test_a_body_above_the_cap_is_refused(house: House) -> None:
    house.router._max_body = 1000
    lease = house.lease("text")

    reply = await house.post(house.url(lease), b"x" * 1001)
    assert (reply.status, reply.error["code"]) == (413, "request_too_large")

    async def endless():
        for _ in range(50):
            yield b"x" * 100

    async with house.client.post(house.url(lease), data=endless()) as response:
        assert response.status == 413


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff\xfe"])
async def test_a_body_that_is_no_json_object_is_refused(house: House, body: bytes) -> None:
    assert (await house.post(house.url(house.lease("text")), body)).status == 400
    assert house.provider.requests == []


async def test_a_large_request_passes_whole(house: House) -> None:
    words = "ä" * 1_000_000
    await house.ask(house.lease("text"), messages=[{"role": "user", "content": words}])

    assert house.provider.requests[0]["messages"][0]["content"] == words


async def test_a_runtime_that_leaves_takes_the_providers_connection_with_it(house: House) -> None:
    lease = house.lease("idle")
    response = await house.client.post(
        house.url(lease), json={"model": "m", "stream": True, "messages": [], "tools": []}
    )
    await response.content.readany()
    response.close()

    async with asyncio.timeout(60):
        await house.provider.left.wait()
        while not house.story.records:
            await asyncio.sleep(0.005)
    assert house.story.records[0].status == 499
    assert house.story.records[0].error_code == Code.CANCELLED


async def test_a_runtime_that_hangs_up_after_the_last_word_has_heard_it_all(house: House) -> None:
    async with house.client.post(house.url(house.lease("lingers")), json={"stream": True, "messages": []}) as response:
        got = b""
        while b"[DONE]" not in got:
            got += await response.content.readany()
    response.close()

    async with asyncio.timeout(60):
        while not house.story.records:
            await asyncio.sleep(0.005)
    assert (house.story.records[0].status, house.story.records[0].error_code) == (200, "")


async def test_one_sandbox_cannot_use_the_lane_of_another(house: House) -> None:
    lease = house.lanes.lease("box_2", "run_2", house.target("text"), house.story, 9)

    assert (await house.ask(lease)).status == 400


async def test_many_runs_at_once_are_each_booked_to_their_own(house: House) -> None:
    stories = []
    leases = []
    for number in range(20):
        stories.append(type(house.story)())
        leases.append(house.lanes.lease("box_1", f"run_{number}", house.target("tools"), stories[-1]))

    await asyncio.gather(*(house.ask(lease) for lease in leases for _ in range(3)))

    for number, story in enumerate(stories):
        assert [record.run_id for record in story.records] == [f"run_{number}"] * 3


async def test_a_slow_reader_is_not_taken_for_a_silent_provider(house: House) -> None:
    lease = house.lease("gated", idle_timeout_s=30)
    async with house.client.post(house.url(lease), json={"model": "m", "stream": True, "messages": []}) as response:
        assert isinstance(response, aiohttp.ClientResponse)
        await response.content.readany()
        house.provider.go_on.set()
        rest = await response.content.read()
    assert rest.endswith(b"[DONE]\n\n")
