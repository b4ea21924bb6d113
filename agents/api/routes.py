"""/api/routes: which models agents can use."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import permissions
from agents.api.asking import asker
from agents.api.shapes import NEXT, Money, PageQuery, Text, page
from agents.models import ModelRoute, ProviderKind

router = Router(tags=["Model routes"])


class RouteOut(Schema):
    """One model of one provider. Prices are USD per million tokens; null is unknown, which is not free."""

    id: str
    provider: str = Field(alias="provider.name")
    kind: ProviderKind = Field(alias="provider.kind")
    model: str
    is_default: bool
    context_length: int | None
    price_input: Money | None
    price_output: Money | None

    model_config = {
        "json_schema_extra": {
            "example": {
                "id": "route_01jd9z6w1b7n5p3r8s2v4w6x0y",
                "provider": "OpenRouter",
                "kind": "openai-compatible",
                "model": "qwen/qwen3-coder",
                "is_default": True,
                "context_length": 262144,
                "price_input": "0.220000",
                "price_output": "0.950000",
            }
        }
    }


class RoutePage(Schema):
    """Model routes, the newest first."""

    items: list[RouteOut]
    next: str | None = NEXT


@router.get("", response=RoutePage, operation_id="list_routes", summary="List model routes")
def list_routes(request: HttpRequest, query: Query[PageQuery]) -> dict:
    """The routes you may use. Exactly one is the default."""
    return page(permissions.visible(asker(request), ModelRoute.objects.select_related("provider")), query)


@router.get("/{route_id}", response=RouteOut, operation_id="get_route", summary="Read a model route")
def get_route(request: HttpRequest, route_id: Text) -> ModelRoute:
    """One route by its id."""
    rows = ModelRoute.objects.select_related("provider")
    return permissions.fetch(asker(request), "route.view", rows, pk=route_id)
