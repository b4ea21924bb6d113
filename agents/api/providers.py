"""/api/providers: where models come from; a key goes in and never comes out."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import permissions, providers
from agents.api.asking import asker
from agents.api.shapes import NEXT, PageQuery, Text, Version, given, page
from agents.models import Provider, ProviderKind

router = Router(tags=["Providers"])

EXAMPLE: dict[str, Any] = {
    "id": "provider_01jd9z5y1a3c5e7g9j1m3p5r7t",
    "name": "OpenRouter",
    "kind": "openai-compatible",
    "base_url": "https://openrouter.ai/api/v1",
    "has_key": True,
    "version": 2,
    "updated_at": "2026-11-20T09:12:44.120Z",
}


class ProviderOut(Schema):
    """A place that answers model calls. Of its key one learns only whether there is one."""

    id: str
    name: str
    kind: ProviderKind
    base_url: str
    has_key: bool
    version: int
    updated_at: datetime

    model_config = {"json_schema_extra": {"example": EXAMPLE}}


class ProviderPage(Schema):
    """Providers, the newest first."""

    items: list[ProviderOut]
    next: str | None = NEXT

    model_config = {"json_schema_extra": {"example": {"items": [EXAMPLE], "next": None}}}


class ProviderIn(Schema):
    """A new provider."""

    name: Text = Field(description="1 to 80 characters; no other provider has it.")
    kind: Literal["openai-compatible", "anthropic"] = Field("openai-compatible", description="How it is asked.")
    base_url: Text = Field(max_length=300, description="Its address, with or without /v1.")
    key: Text = Field("", max_length=providers.MAX_KEY, description="Stored sealed; no answer has it.")

    model_config = {
        "json_schema_extra": {
            "example": {"name": "OpenRouter", "base_url": "https://openrouter.ai/api/v1", "key": "sk-or-…"}
        }
    }


class ProviderPatch(Schema):
    """What is to change; what is left out stays."""

    version: Version
    name: Text | None = None
    base_url: Text | None = Field(None, max_length=300, description='A new address needs the key with it, or `""`.')
    key: Text | None = Field(None, max_length=providers.MAX_KEY, description='Replaces the stored one; "" forgets it.')

    model_config = {"json_schema_extra": {"example": {"version": 2, "key": "sk-or-…"}}}


@router.get("", response=ProviderPage, operation_id="list_providers", summary="List providers")
def list_providers(request: HttpRequest, query: Query[PageQuery]) -> dict:
    """Every provider; for admins and operators."""
    user = asker(request)
    permissions.require(user, "provider.view")
    return page(permissions.visible(user, Provider.objects.all()), query)


@router.post("", response={201: ProviderOut}, operation_id="create_provider", summary="Add a provider")
def create_provider(request: HttpRequest, body: ProviderIn) -> Provider:
    """A new provider; for admins. Its models are added as routes."""
    return providers.create(asker(request), body.name, body.base_url, body.key, body.kind)


@router.get("/{provider_id}", response=ProviderOut, operation_id="get_provider", summary="Read a provider")
def get_provider(request: HttpRequest, provider_id: Text) -> Provider:
    """One provider by its id."""
    return permissions.fetch(asker(request), "provider.view", Provider.objects.all(), pk=provider_id)


@router.patch("/{provider_id}", response=ProviderOut, operation_id="change_provider", summary="Change a provider")
def change_provider(request: HttpRequest, provider_id: Text, body: ProviderPatch) -> Provider:
    """Set what the body holds. 409 `stale` when somebody saved since the `version` you read."""
    return providers.change(asker(request), provider_id, body.version, **given(body))


@router.delete("/{provider_id}", response={204: None}, operation_id="delete_provider", summary="Delete a provider")
def delete_provider(request: HttpRequest, provider_id: Text) -> None:
    """Delete a provider without models; 409 while it has some."""
    providers.remove(asker(request), provider_id)
