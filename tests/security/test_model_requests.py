"""A hostile agent asks for another model than its route's, with the route's key."""

from __future__ import annotations

import json

import pytest

from sandboxes.inference.requests import prepare


@pytest.mark.parametrize(
    "body",
    [
        rb'{"model":"lane-1","\u006dodel":"expensive","messages":[]}',
        rb'{"model":"lane-1","mod\u0065l":"lane-1","stream":true}',
        rb'{"\u006dodel":"expensive","metadata":{"model":"lane-1"}}',
        rb'{"model":"lane-1","model":"expensive"}',
        '{"model":"expensive"}'.encode("utf-16"),
    ],
)
def test_the_provider_is_asked_for_the_model_of_the_route_however_the_key_is_spelt(body: bytes) -> None:
    sent = prepare(body, "cheap").payload
    models = [value for key, value in json.loads(sent, object_pairs_hook=list) if key == "model"]
    assert models == ["cheap"]


def test_a_body_nested_without_end_is_refused_as_a_request() -> None:
    from agents.errors import Invalid

    with pytest.raises(Invalid):
        prepare(b'{"a":' + b"[" * 200_000, "cheap")
