"""What the runtime and the record are told when a provider fails."""

from __future__ import annotations

import asyncio

import pytest

from tests.sandboxes.inference.conftest import House

TABLE = [
    # model, status given to the runtime, code, part of the sentence
    ("400", 400, "unknown", "did not accept the request (HTTP 400)"),
    ("401", 401, "provider_auth", "refused the key"),
    ("402", 402, "provider_billing", "wants to be paid"),
    ("404", 400, "model_not_found", "does not know this model"),
    ("429", 429, "provider_rate_limit", "limiting"),
    ("500", 500, "unknown", "failed inside"),
    ("503", 503, "provider_unreachable", "not available"),
    ("overflow", 400, "context_overflow", "no longer fits"),
    ("html", 400, "provider_unreachable", "answered a web page"),
    ("html-502", 502, "provider_unreachable", "web page (HTTP 502)"),
    ("redirect", 400, "provider_unreachable", "redirect"),
    ("drops", 502, "provider_unreachable", "without an answer"),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("model", "status", "code", "sentence"), TABLE)
async def test_a_failure_is_told_by_status_code_and_sentence(
    house: House, model: str, status: int, code: str, sentence: str, stream: bool
) -> None:
    reply = await house.ask(house.lease(model), stream=stream)

    [record] = house.story.records
    assert (reply.status, record.status, record.error_code) == (status, status, code)
    assert sentence in record.error_message
    assert reply.error["message"]
    assert "sk-secret-key" not in str(reply.body) + record.error_message


async def test_the_wait_a_provider_asks_for_is_passed_on(house: House) -> None:
    assert (await house.ask(house.lease("429"))).headers["Retry-After"] == "7"


async def test_an_overflow_keeps_the_providers_words_so_that_the_runtime_can_compress(house: House) -> None:
    assert "8192 tokens" in (await house.ask(house.lease("overflow"))).error["message"]


async def test_plain_text_where_a_document_was_promised_is_a_wrong_address(house: House) -> None:
    reply = await house.ask(house.lease("text-plain"), stream=False)

    assert (reply.status, reply.error["code"]) == (400, "provider_unreachable")


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:1/v1", "http://no-such-host.invalid/v1", "nonsense"])
async def test_a_provider_that_is_down_fails_the_run_at_once(house: House, base_url: str) -> None:
    async with asyncio.timeout(60):
        reply = await house.ask(house.lease("text", base_url=base_url))

    assert (reply.status, reply.error["code"]) == (400, "provider_unreachable")
    assert reply.error["action"]


@pytest.mark.parametrize("model", ["hang", "silent-headers"])
async def test_no_first_byte_in_time_is_a_timeout_and_the_second_in_a_row_ends_the_run(
    house: House, model: str
) -> None:
    lease = house.lease(model, first_byte_timeout_s=0.5)

    first, second = await house.ask(lease), await house.ask(lease)

    assert (first.status, second.status) == (504, 400)
    assert [record.error_code for record in house.story.records] == ["provider_timeout"] * 2
    assert "did not begin to answer within 0.5 s" in first.error["message"]
    async with asyncio.timeout(60):
        await house.provider.left.wait()


async def test_an_answer_in_between_lets_a_timeout_be_tried_again(house: House) -> None:
    lease = house.lease("hang", first_byte_timeout_s=0.05)
    statuses = []
    for model in ("hang", "text", "hang"):
        lease.target = house.target(model, first_byte_timeout_s=0.05 if model == "hang" else 60)
        statuses.append((await house.ask(lease)).status)

    assert statuses == [504, 200, 504]


async def test_a_connection_that_went_stale_is_replaced_without_a_word(house: House) -> None:
    reply = await house.ask(house.lease("drops-once"))

    assert reply.text == "Hello wörld."
    assert len(house.provider.requests) == 2
    assert [record.status for record in house.story.records] == [200]


async def test_silence_in_the_middle_ends_the_stream_unfinished(house: House) -> None:
    reply = await house.ask(house.lease("idle", idle_timeout_s=1.0))

    assert reply.broke_off
    assert reply.text == "Hello wörld."
    [record] = house.story.records
    assert (record.status, record.error_code) == (200, "provider_timeout")


async def test_a_connection_cut_in_the_middle_ends_the_stream_unfinished(house: House) -> None:
    reply = await house.ask(house.lease("cut"))

    assert reply.broke_off
    assert house.story.records[0].error_code == "provider_unreachable"
    assert "in the middle" in house.story.records[0].error_message


async def test_an_answer_that_ends_without_saying_so_is_passed_on_and_noted(house: House) -> None:
    reply = await house.ask(house.lease("ends-early"))

    assert not reply.broke_off
    assert house.story.records[0].error_code == "provider_unreachable"


async def test_an_error_sent_as_a_chunk_is_noted(house: House) -> None:
    await house.ask(house.lease("error-chunk"))

    assert house.story.records[0].error_code == "provider_unreachable"
    assert "Overloaded" in house.story.records[0].error_message


async def test_a_router_goes_on_after_any_failure(house: House) -> None:
    for model in ("cut", "drops", "html", "hang"):
        await house.ask(house.lease(model, first_byte_timeout_s=0.05))

    assert (await house.ask(house.lease("text"))).text == "Hello wörld."
