"""Server-sent events, cut in every way a network can cut them."""

from __future__ import annotations

import pytest

from sandboxes.hermes.sse import EventDecoder, TooLarge
from tests.sandboxes.hermes.captures import raw

STREAM = (
    'data: {"a": "grüße 🌍"}\r\n\r\n: keepalive\n\ndata: one\ndata:two\nid: 9\nevent: x\n\n: stream closed\n\n'.encode()
)
EVENTS = ['{"a": "grüße 🌍"}', "one\ntwo"]


def decode(*chunks: bytes, limit: int = 1 << 20) -> list[str]:
    decoder = EventDecoder(limit)
    return [data for chunk in chunks for data in decoder.feed(chunk)]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_the_cut_of_the_chunks_does_not_matter(size: int) -> None:
    chunks = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]

    assert decode(*chunks) == EVENTS


@pytest.mark.parametrize("name", ["tool", "approve-once", "twotools"])
def test_a_capture_reads_the_same_whole_and_byte_by_byte(name: str) -> None:
    stream = raw(name)

    whole = decode(stream)

    assert len(whole) >= 5
    assert decode(*(bytes([byte]) for byte in stream)) == whole


def test_an_event_without_its_blank_line_is_not_told() -> None:
    assert decode(b"data: first\n\ndata: cut off\n") == ["first"]


def test_a_line_of_many_megabytes_is_fine() -> None:
    text = "x" * (5 << 20)

    assert decode(b"data: ", *[text[:65536].encode()] * 80, b"\n\n", limit=32 << 20) == [text[:65536] * 80]


def test_an_endless_line_is_refused() -> None:
    with pytest.raises(TooLarge):
        decode(*[b"x" * 100] * 20, limit=1000)


def test_an_event_of_endless_lines_is_refused() -> None:
    with pytest.raises(TooLarge):
        decode(*[b"data: 0123456789\n"] * 100, limit=1000)


def test_many_comments_are_not_counted_as_one_large_event() -> None:
    assert decode(*[b": keepalive\n\n"] * 1000, b"data: here\n\n", limit=100) == ["here"]
    assert decode(*[b": keepalive\n"] * 1000, b"data: here\n\n", limit=100) == ["here"]


def test_invalid_utf8_is_replaced_not_refused() -> None:
    assert decode(b"data: \xff!\n\n") == ["\ufffd!"]
