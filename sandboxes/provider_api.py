"""/api/providers/{id}/models: what a provider has, asked now."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router, Schema

from agents import permissions
from agents.api.asking import asker
from agents.api.shapes import Text
from agents.models import Provider
from sandboxes import provider_models

router = Router(tags=["Providers"])


class ModelOut(Schema):
    """A model, as its provider names it."""

    id: str
    context_length: int | None
    is_added: bool


class ModelList(Schema):
    """All models of a provider, by name."""

    items: list[ModelOut]

    model_config = {
        "json_schema_extra": {
            "example": {"items": [{"id": "qwen/qwen3-coder", "context_length": 262144, "is_added": True}]}
        }
    }


@router.get("/{provider_id}/models", response=ModelList, operation_id="list_models", summary="Which models it has")
def list_models(request: HttpRequest, provider_id: Text) -> dict:
    """Ask the provider with the stored key; for admins and operators. 502 when it does not answer as one should."""
    provider = permissions.fetch(asker(request), "provider.view", Provider.objects.all(), pk=provider_id)
    return {"items": provider_models.offered(provider)}
