"""Tokens before the provider says so: of a request likely and at most, of an answer as it passes."""

from __future__ import annotations

import json

import pytest

from sandboxes.inference.estimate import FRAME, IMAGE_TOKENS, Scale, output_cap, prompt_tokens
from tests.sandboxes.inference.upstream import STREAMS, chunk


def event(**fields: object) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def test_a_request_is_a_quarter_of_its_bytes_likely_and_half_at_most() -> None:
    assert prompt_tokens(b"x" * 4000, {}) == (1001, 2000 + FRAME)


def test_a_picture_counts_what_providers_bill_and_not_its_bytes() -> None:
    picture = b'{"image_url": {"url": "data:image/png;base64,' + b"A" * 1_000_000 + b'"}}'

    assert IMAGE_TOKENS <= prompt_tokens(picture, {})[1] < IMAGE_TOKENS + 200


@pytest.mark.parametrize(
    ("document", "cap"),
    [
        ({}, None),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 9, "max_tokens": 7}, 9),
        ({"max_tokens": True}, None),
        ({"max_tokens": -1}, None),
        ({"max_tokens": "9"}, None),
        ({"max_tokens": 10**30}, 100_000_000),
    ],
)
def test_the_cap_is_what_the_request_says(document: dict[str, object], cap: int | None) -> None:
    assert output_cap(document) == cap


def test_every_event_that_says_something_is_a_token_at_least() -> None:
    scale = Scale()

    assert [scale.weigh(chunk({"content": "a"})) for _ in range(3)] == [1, 2, 3]
    assert scale.weigh(chunk({"role": "assistant", "content": ""})) == 3
    assert scale.weigh(b": comment\n\ndata: [DONE]\n\n") == 3


def test_many_words_in_one_event_count_by_their_length() -> None:
    scale = Scale()

    assert scale.weigh(chunk({"content": "word " * 100})) == 125
    assert scale.weigh(chunk({"content": "天" * 100})) == 225


def test_thoughts_and_tool_arguments_are_output_too() -> None:
    scale = Scale()
    scale.weigh(chunk({"reasoning_content": "x" * 40}))
    scale.weigh(chunk({"tool_calls": [{"index": 0, "id": "call_1", "function": {"arguments": "y" * 40}}]}))

    assert scale.total == 20


def test_the_other_wire_is_counted_alike() -> None:
    scale = Scale()
    scale.weigh(event(type="content_block_start", content_block={"type": "text", "text": ""}))
    scale.weigh(event(type="content_block_delta", delta={"type": "text_delta", "text": "x" * 40}))
    scale.weigh(event(type="content_block_delta", delta={"type": "input_json_delta", "partial_json": "y" * 40}))

    assert scale.total == 20


def test_what_the_provider_tells_in_the_middle_is_taken() -> None:
    scale = Scale()

    assert scale.weigh(chunk({"content": "a"}, usage={"completion_tokens": 50})) == 50


def test_a_line_in_two_pieces_is_counted_once() -> None:
    whole, scale = b"".join(STREAMS["tools"]), Scale()
    for letter in whole:
        scale.weigh(bytes([letter]))
    once = Scale()
    once.weigh(whole)

    assert scale.total == once.total > 0


@pytest.mark.parametrize(
    "line", [b"data: {\n", b"data: 7\n", b'data: {"choices": 7}\n', b"data: " + b"[" * 100_000 + b"\n"]
)
def test_what_cannot_be_read_counts_by_its_length(line: bytes) -> None:
    assert Scale().weigh(line) >= (len(line) - 7) // 4


def test_what_did_not_pass_is_taken_back() -> None:
    scale = Scale()
    scale.weigh(chunk({"content": "a"}))
    mark = scale.mark()
    scale.weigh(chunk({"content": "word " * 100}) + b"data: {")
    scale.back_to(mark)

    assert (scale.total, scale.weigh(b"\n")) == (1, 1)
