"""/api/routes: which models agents can use; add, change, make default and delete them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import permissions, routes
from agents.api.asking import asker
from agents.api.shapes import NEXT, Money, PageQuery, Text, Version, given, page
from agents.models import ModelRoute, Provider, ProviderKind, User

router = Router(tags=["Model routes"])


EXAMPLE: dict[str, Any] = {
    "id": "route_01jd9z6w1b7n5p3r8s2v4w6x0y",
    "provider": "OpenRouter",
    "kind": "openai-compatible",
    "model": "qwen/qwen3-coder",
    "is_default": True,
    "context_length": 262144,
    "price_input": "0.220000",
    "price_output": "0.950000",
    "price_cached": None,
    "version": 4,
}


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
    price_cached: Money | None = Field(description="Of input read from the provider's cache; null: as any other input.")

    version: int

    model_config = {"json_schema_extra": {"example": EXAMPLE}}


class RouteDetail(RouteOut):
    """A route and, for who may change it, the one that is asked when its provider fails and where its prices are from."""

    fallback_id: str | None
    price_list_id: str | None = Field(description="The list its prices are from; null when they were set by hand.")

    model_config = {"json_schema_extra": {"example": {**EXAMPLE, "fallback_id": None, "price_list_id": None}}}

    @staticmethod
    def resolve_price_list_id(route: ModelRoute, context: dict[str, Any]) -> str | None:
        return route.price_list_id if permissions.may(asker(context["request"]), "price.import") else None

    @staticmethod
    def resolve_fallback_id(route: ModelRoute, context: dict[str, Any]) -> str | None:
        if route.fallback_id and permissions.allows(asker(context["request"]), "route.edit", route):
            return route.fallback_id
        return None


class RoutePage(Schema):
    """Model routes, the newest first."""

    items: list[RouteOut]
    next: str | None = NEXT

    model_config = {"json_schema_extra": {"example": {"items": [EXAMPLE], "next": None}}}


CONTEXT = Field(None, ge=1, le=routes.MAX_CONTEXT, description="Tokens; null when unknown.")
PRICE = Field(
    None, ge=0, le=routes.MAX_PRICE, description="USD per million tokens; null is unknown, which is not free."
)
CACHED = Field(
    None, ge=0, le=routes.MAX_PRICE, description="Of input read from the provider's cache; null: as any other input."
)


FALLBACK = Field(None, description="Asked when the provider fails: a route you may see, asked in the same format.")


class RouteIn(Schema):
    """A model of a provider; the same provider and model is one route."""

    provider_id: Text
    model: Text = Field(max_length=200, description="As the provider names it.")
    context_length: int | None = CONTEXT
    price_input: Decimal | None = PRICE
    price_output: Decimal | None = PRICE
    price_cached: Decimal | None = CACHED
    fallback_id: Text | None = FALLBACK

    model_config = {
        "json_schema_extra": {
            "example": {
                "provider_id": "provider_01jd9z5y1a3c5e7g9j1m3p5r7t",
                "model": "qwen/qwen3-coder",
                "context_length": 262144,
                "price_input": "0.22",
                "price_output": "0.95",
            }
        }
    }


class RoutePatch(Schema):
    """What is to change; what is left out stays. Another model is another route."""

    version: Version
    context_length: int | None = CONTEXT
    price_input: Decimal | None = PRICE
    price_output: Decimal | None = PRICE
    price_cached: Decimal | None = CACHED
    fallback_id: Text | None = FALLBACK

    model_config = {"json_schema_extra": {"example": {"version": 4, "price_input": "0.20"}}}


def rows() -> Any:
    """Routes with everything an answer shows, in one query."""
    return ModelRoute.objects.select_related("provider")


@router.get("", response=RoutePage, operation_id="list_routes", summary="List model routes")
def list_routes(request: HttpRequest, query: Query[PageQuery]) -> dict:
    """The routes you may use. Exactly one is the default."""
    return page(permissions.visible(asker(request), rows()), query)


@router.post("", response={201: RouteDetail}, operation_id="create_route", summary="Add a model route")
def create_route(request: HttpRequest, body: RouteIn) -> ModelRoute:
    """A model that agents can use; the first one ever is the default. 409 `name_taken` when it is there already."""
    user = asker(request)
    permissions.require(user, "route.create")
    provider = permissions.fetch(user, "provider.view", Provider.objects.all(), pk=body.provider_id)
    return routes.create(user, provider, **_with_fallback(user, body.dict(exclude={"provider_id"})))


@router.get("/{route_id}", response=RouteDetail, operation_id="get_route", summary="Read a model route")
def get_route(request: HttpRequest, route_id: Text) -> ModelRoute:
    """One route by its id."""
    return permissions.fetch(asker(request), "route.view", rows(), pk=route_id)


@router.patch("/{route_id}", response=RouteDetail, operation_id="change_route", summary="Change a model route")
def change_route(request: HttpRequest, route_id: Text, body: RoutePatch) -> ModelRoute:
    """Set context length, prices and fallback. 409 `stale` when somebody saved since the `version` you read."""
    user = asker(request)
    fields = _with_fallback(user, given(body, (*routes.CHANGEABLE, "fallback_id")))
    return routes.change(user, route_id, body.version, **fields)


def _with_fallback(user: User, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with the row that ``fallback_id`` names in its place."""
    if "fallback_id" in fields:
        named = fields.pop("fallback_id")
        fields["fallback"] = named and permissions.fetch(user, "route.view", rows(), pk=named)
    return fields


@router.post("/{route_id}/default", response=RouteOut, operation_id="make_default_route", summary="Make it the default")
def make_default(request: HttpRequest, route_id: Text) -> ModelRoute:
    """Agents without a route of their own use this one from their next message on."""
    route = permissions.fetch(asker(request), "route.manage", rows(), pk=route_id)
    routes.make_default(route)
    return route


@router.delete("/{route_id}", response={204: None}, operation_id="delete_route", summary="Delete a model route")
def delete_route(request: HttpRequest, route_id: Text) -> None:
    """409 for the last route, the default, and one that agents use."""
    user = asker(request)
    routes.remove_route(permissions.fetch(user, "route.manage", rows(), pk=route_id), user)
