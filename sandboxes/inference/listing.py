"""Ask a provider which models it has."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import httpx

from agents.errors import Invalid
from sandboxes.inference import messages
from sandboxes.inference.addresses import endpoint
from sandboxes.inference.failures import (
    TIMED_OUT,
    UNREACHABLE,
    WRONG_ADDRESS,
    Failure,
    ProviderError,
    classify,
    looks_like_html,
    web_page,
)
from sandboxes.inference.upstreams import credentials

_CONTEXT_KEYS = ("context_length", "max_model_len", "max_context_length", "loaded_context_length", "context_window")


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model as its provider names it; ``context_length`` is None where it does not say."""

    id: str
    context_length: int | None = None


async def list_models(
    base_url: str,
    api_key: str = "",
    timeout_s: float = 10.0,
    *,
    kind: str = "openai-compatible",
    transport: httpx.AsyncBaseTransport | None = None,
) -> list[ModelInfo]:
    """The provider's models, sorted by id. ``base_url`` with or without "/v1".

    Raises Invalid if address or key are none, ProviderError (with a sentence for the person) if the provider is
    unreachable, too slow, refuses the key, answers a web page, or has no model."""
    url = endpoint(base_url, "models")
    if not api_key.isascii() or not api_key.isprintable() or " " in api_key:
        raise Invalid("The API key has a character that keys do not have; copy it again.", field="api_key")
    headers = {"Accept": "application/json", **credentials(kind, api_key)}
    if kind == "anthropic":
        headers["anthropic-version"] = messages.VERSION
        url += "?limit=1000"
    try:
        async with httpx.AsyncClient(timeout=timeout_s, transport=transport, trust_env=False) as client:
            response = await client.get(url, headers=headers)
    except httpx.TimeoutException as error:
        failure = replace(TIMED_OUT, sentence=f"The model provider did not answer within {timeout_s:g} s.")
        raise ProviderError(failure, detail=str(error)) from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise ProviderError(_why(error), detail=f"{type(error).__name__}: {error}") from error
    return _read(response, api_key)


def _read(response: httpx.Response, api_key: str) -> list[ModelInfo]:
    body, headers = response.content, dict(response.headers)
    if looks_like_html(body, headers):
        raise ProviderError(web_page(response.status_code))
    if response.status_code == 404:
        raise ProviderError(
            replace(WRONG_ADDRESS, sentence="The model provider has no list of models at this address.")
        )
    if response.status_code != 200:
        raise ProviderError(classify(response.status_code, body, headers).without(api_key))
    models = sorted(_models(body), key=lambda model: model.id)
    if not models:
        raise ProviderError(NO_MODEL)
    return models


NO_MODEL = replace(
    WRONG_ADDRESS,
    sentence="The model provider answered, but it has no model.",
    action="Load or pull a model there first, then ask again.",
)


def _models(body: bytes) -> list[ModelInfo]:
    try:
        document = json.loads(body)
    except ValueError as error:
        raise ProviderError(WRONG_ADDRESS, detail="not JSON") from error
    # OpenAI: {"data": [...]}; Together and some others: the bare list; Ollama's own API: {"models": [...]}.
    entries = document.get("data", document.get("models")) if isinstance(document, dict) else document
    if entries is None and isinstance(document, dict) and document.get("object") == "list":
        entries = []  # Ollama without a model says {"data": null}
    if not isinstance(entries, list):
        raise ProviderError(WRONG_ADDRESS, detail="no list of models")
    found = (_model(entry) for entry in entries)
    return [model for model in found if model is not None]


def _model(entry: Any) -> ModelInfo | None:
    if not isinstance(entry, dict):
        return None
    name = entry.get("id") or entry.get("name")
    lengths = (entry.get(key) for key in _CONTEXT_KEYS)
    length = next((value for value in lengths if isinstance(value, int) and value > 0), None)
    return ModelInfo(str(name), length) if name else None


def _why(error: Exception) -> Failure:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return replace(
            UNREACHABLE,
            sentence="The model provider's certificate is not trusted.",
            action="Check the address, or install the provider's certificate authority on this machine.",
        )
    if isinstance(error, httpx.RemoteProtocolError):
        return WRONG_ADDRESS
    return UNREACHABLE
