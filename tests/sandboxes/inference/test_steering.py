"""Fields that multiply what a call costs are refused; everything else passes as it came."""

from __future__ import annotations

from typing import Any

import pytest

from agents.errors import Invalid
from sandboxes.inference.steering import require_plain
from tests.sandboxes.inference.conftest import TOOLS, House


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"n": 0},
        {"n": "3"},
        {"n": True, "best_of": 5},
        {"service_tier": "priority"},
        {"service_tier": {"a": 1}},
        {"speed": "fast"},
        {"inference_geo": "us"},
        {"plugins": [{"id": "web"}]},
        {"web_search_options": {"search_context_size": "high"}},
        {"search_parameters": {"mode": "on"}},
        {"models": ["somebody/dearer"]},
        {"mcp_servers": [{"url": "https://a.example"}]},
        {"modalities": ["text", "audio"]},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"tools": [{"type": "code_execution_20250825"}]},
    ],
)
def test_what_would_cost_more_than_its_tokens_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="changes what it costs") as refusal:
        require_plain({"model": "m", "messages": [], **fields})
    assert refusal.value.reason == "cost_steering"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"n": 1, "service_tier": "auto", "speed": "standard", "modalities": ["text"], "plugins": [], "route": None},
        {"service_tier": "flex"},
        {"tools": TOOLS},
        {"tools": [{"type": "bash_20250124", "name": "bash"}, {"name": "f", "input_schema": {}}]},
        {"tools": "not a list"},
        {"tools": [None, 7]},
        {"some_future_field": {"deep": [1, 2]}, "reasoning_effort": "high", "thinking": {"type": "enabled"}},
    ],
)
def test_what_is_plain_or_unknown_passes(fields: dict[str, Any]) -> None:
    require_plain({"model": "m", "messages": [], **fields})


async def test_a_request_that_steers_cost_reaches_no_provider(house: House) -> None:
    reply = await house.ask(house.lease("text"), n=4)

    assert reply.status == 400
    assert "several answers" in reply.error["message"]
    assert not house.provider.requests


async def test_an_unknown_field_reaches_the_provider_as_it_came(house: House) -> None:
    await house.ask(house.lease("text"), some_future_field={"x": 1})

    assert house.provider.requests[0]["some_future_field"] == {"x": 1}
