"""Listing a provider's models, and the sentence for each way in which that fails."""

from __future__ import annotations

import httpx
import pytest

from agents.errors import Invalid
from sandboxes.inference.failures import ProviderError
from sandboxes.inference.listing import ModelInfo, list_models

KEY = "sk-secret-key"


def answering(status: int = 200, **answer: object) -> httpx.MockTransport:
    seen.clear()

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(status, **answer)

    return httpx.MockTransport(handle)


seen: list[httpx.Request] = []


@pytest.mark.parametrize(
    ("document", "models"),
    [
        ({"object": "list", "data": [{"id": "b"}, {"id": "a", "context_length": 8192}]}, [("a", 8192), ("b", None)]),
        ({"data": [{"id": "v", "max_model_len": 32768}]}, [("v", 32768)]),
        ([{"id": "together"}], [("together", None)]),
        ({"models": [{"name": "llama3:8b", "model": "llama3:8b"}]}, [("llama3:8b", None)]),
        ({"data": [{"id": "x"}, {"odd": 1}, None, 5]}, [("x", None)]),
    ],
)
async def test_lists_of_all_known_shapes_are_read(document: object, models: list[tuple[str, int | None]]) -> None:
    found = await list_models("http://x:1", KEY, transport=answering(json=document))

    assert found == [ModelInfo(*each) for each in models]
    assert str(seen[0].url) == "http://x:1/v1/models"
    assert seen[0].headers["authorization"] == f"Bearer {KEY}"


async def test_without_a_key_none_is_sent() -> None:
    await list_models("http://x/v1", transport=answering(json={"data": [{"id": "a"}]}))

    assert "authorization" not in seen[0].headers


def failing(error: type[Exception]) -> httpx.MockTransport:
    def handle(request: httpx.Request) -> httpx.Response:
        raise error("sk-secret-key")

    return httpx.MockTransport(handle)


@pytest.mark.parametrize(
    ("transport", "reason", "sentence"),
    [
        (failing(httpx.ConnectError), "provider_unreachable", "The model provider cannot be reached."),
        (failing(httpx.ConnectTimeout), "provider_timeout", "The model provider did not answer within 10 s."),
        (answering(401, json={"error": {"message": f"bad {KEY}"}}), "provider_auth", "refused the key (HTTP 401)"),
        (answering(200, text="<html>hi"), "provider_unreachable", "answered a web page instead of the model API"),
        (answering(502, text="<html>hi"), "provider_unreachable", "answered a web page (HTTP 502)"),
        (answering(404, text="not found"), "provider_unreachable", "no list of models at this address"),
        (answering(200, text="ok"), "provider_unreachable", "not the model API"),
        (answering(200, json={"hello": 1}), "provider_unreachable", "not the model API"),
        (answering(200, json={"object": "list", "data": None}), "provider_unreachable", "it has no model"),
        (answering(200, json={"data": []}), "provider_unreachable", "it has no model"),
        (answering(302, headers={"location": "http://y"}), "provider_unreachable", "redirect"),
        (answering(500, json={}), "unknown", "failed inside"),
    ],
)
async def test_each_failure_has_its_own_sentence(transport: httpx.MockTransport, reason: str, sentence: str) -> None:
    with pytest.raises(ProviderError) as raised:
        await list_models("http://x/v1", KEY, transport=transport)

    assert raised.value.reason == reason
    assert sentence in raised.value.message
    assert raised.value.action
    assert KEY not in raised.value.message


async def test_nothing_listening_is_unreachable() -> None:
    with pytest.raises(ProviderError, match="cannot be reached"):
        await list_models("http://127.0.0.1:1", timeout_s=60)


async def test_an_address_that_is_none_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(Invalid):
        await list_models("localhost:11434")


async def test_a_key_that_cannot_be_sent_is_refused_in_words() -> None:
    with pytest.raises(Invalid):
        await list_models("http://127.0.0.1:1", "two\nlines")


async def test_anthropic_is_asked_in_its_own_way() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"data": [{"type": "model", "id": "claude-x", "display_name": "X"}]})

    found = await list_models(
        "https://api.anthropic.com", "sk-ant-1", kind="anthropic", transport=httpx.MockTransport(answer)
    )

    assert [model.id for model in found] == ["claude-x"]
    assert seen[0].url == "https://api.anthropic.com/v1/models?limit=1000"
    assert seen[0].headers["x-api-key"] == "sk-ant-1"
    assert seen[0].headers["anthropic-version"]
    assert "authorization" not in seen[0].headers
