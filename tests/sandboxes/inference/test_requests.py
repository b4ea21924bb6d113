"""What of a request is changed, and that nothing else is."""

from __future__ import annotations

import json

import pytest

from agents.errors import Invalid
from sandboxes.inference.addresses import endpoint
from sandboxes.inference.requests import prepare

ASKS = b'"stream_options":{"include_usage":true}'


def test_two_places_change_and_every_other_byte_stays() -> None:
    body = b'{ "messages":[{"role":"user","content":"say \\"model\\": \\u00e4"}],\n "model" : "label","stream":true,"x":1.50}'

    request = prepare(body, "gpt-x")

    assert request.payload == (b"{" + ASKS + b", " + body[2:].replace(b'"label"', b'"gpt-x"'))
    assert json.loads(request.payload)["x"] == 1.5


@pytest.mark.parametrize(
    "body",
    [
        {"model": "label", "stream": True, "messages": []},
        {"model": "label", "stream": True, "stream_options": {"include_usage": False, "other": 1}},
        {"model": "label", "stream": True, "stream_options": None},
        {"model": "label", "stream": True, "tools": [{"function": {"parameters": {"properties": {"model": {}}}}}]},
        {"model": "label", "stream": True, "metadata": {"model": "label"}},
        {"metadata": {"model": "label"}, "model": "label", "stream": True},
        {"model": None, "stream": True},
        {"stream": True},
    ],
)
def test_the_model_is_the_routes_and_usage_is_asked_for_whatever_the_body_looks_like(body: dict) -> None:
    request = prepare(json.dumps(body).encode(), 'm"odel')

    sent = json.loads(request.payload)
    assert sent == request.document or sent | {"stream_options": None} == request.document | {"stream_options": None}
    assert sent["model"] == 'm"odel'
    assert sent["stream_options"]["include_usage"] is True
    assert sent.get("tools") == body.get("tools")
    assert sent.get("metadata") == body.get("metadata")


def test_a_request_that_does_not_stream_is_not_asked_for_stream_options() -> None:
    assert prepare(b'{"model":"a","messages":[]}', "b").payload == b'{"model":"b","messages":[]}'


def test_a_body_in_utf_16_is_understood() -> None:
    assert json.loads(prepare('{"model":"a","messages":[]}'.encode("utf-16"), "b").payload)["model"] == "b"


def test_what_is_no_object_is_refused() -> None:
    for body in (b"", b"[1]", b"null", b"\xff"):
        with pytest.raises(Invalid):
            prepare(body, "m")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434/v1/models"),
        ("http://127.0.0.1:1234/v1", "http://127.0.0.1:1234/v1/models"),
        (" https://openrouter.ai/api/v1/ ", "https://openrouter.ai/api/v1/models"),
        ("https://api.openai.com/v1/chat/completions", "https://api.openai.com/v1/models"),
        ("https://example.org/v1beta/openai", "https://example.org/v1beta/openai/models"),
        ("https://example.org/v1?version=2", "https://example.org/v1/models?version=2"),
    ],
)
def test_an_address_is_read_as_people_type_it(typed: str, meant: str) -> None:
    assert endpoint(typed, "models") == meant


@pytest.mark.parametrize("typed", ["", "localhost:11434", "ftp://x", "http://", "file:///etc/passwd", "http://[::1"])
def test_an_address_that_is_none_is_refused(typed: str) -> None:
    with pytest.raises(Invalid):
        endpoint(typed, "models")
