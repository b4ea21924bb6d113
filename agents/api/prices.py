"""/api/prices: lists of prices from files: look at what one would change, apply it, undo it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import price_lists, pricing
from agents.api.asking import asker
from agents.api.shapes import NEXT, PageQuery, Text, page
from agents.models import PriceList, User

router = Router(tags=["Prices"])

CHANGE: dict[str, Any] = {
    "route_id": "route_01jd9z6w1b7n5p3r8s2v4w6x0y",
    "model": "qwen/qwen3-coder",
    "before": {"input": None, "output": None, "cached": None},
    "after": {"input": "0.220000", "output": "0.950000", "cached": None},
}
EXAMPLE: dict[str, Any] = {
    "id": "prices_01jd9z7c3f5h7k9n1q3s5v7x9z",
    "source": "prices.json",
    "currency": "USD",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "count": 2418,
    "state": "proposed",
    "made_by": "ada",
    "created_at": "2026-11-21T09:12:44.120Z",
    "applied_at": None,
    "undone_at": None,
}


class PriceListOut(Schema):
    """A file of prices. `state` is `proposed`, `applied` or `undone`; `count` models have a price in it."""

    id: str
    source: str = Field(description="The name of the file.")
    currency: str
    sha256: str = Field(description="Of the file.")
    count: int
    state: str
    made_by: str | None = Field(None, alias="made_by.username")
    created_at: datetime
    applied_at: datetime | None
    undone_at: datetime | None

    model_config = {"json_schema_extra": {"example": EXAMPLE}}


class Prices(Schema):
    """USD a million tokens; null is unknown."""

    input: str | None
    output: str | None
    cached: str | None

    model_config = {"json_schema_extra": {"example": CHANGE["after"]}}


class PriceChange(Schema):
    """What a list changes of one model."""

    route_id: str
    model: str
    before: Prices
    after: Prices

    model_config = {"json_schema_extra": {"example": CHANGE}}


class PriceListDetail(PriceListOut):
    """A list and what it would change now, or has changed, of the models you may see."""

    changes: list[PriceChange]
    digest: str = Field(description='Of these changes; send it to apply them. "" once it was applied.')

    model_config = {"json_schema_extra": {"example": {**EXAMPLE, "changes": [CHANGE], "digest": "1c9e5a7b3d2f4e6a"}}}


class PriceListPage(Schema):
    """Lists of prices, the newest first."""

    items: list[PriceListOut]
    next: str | None = NEXT

    model_config = {"json_schema_extra": {"example": {"items": [EXAMPLE], "next": None}}}


class PriceListIn(Schema):
    """A file of prices, as text: JSON (LiteLLM's too), CSV or YAML."""

    source: Text = Field(max_length=pricing.MAX_SOURCE, description="The name of the file.")
    text: Text = Field(max_length=price_lists.MAX_BYTES)

    model_config = {
        "extra": "forbid",
        "json_schema_extra": {
            "example": {"source": "prices.csv", "text": "model,input,output\nqwen/qwen3-coder,0.22,0.95\n"}
        },
    }


class Applying(Schema):
    """Which changes you looked at."""

    digest: Text = Field("", max_length=64, description="As the list told it; 409 `stale` for any other.")

    model_config = {"json_schema_extra": {"example": {"digest": "1c9e5a7b3d2f4e6a"}}}


class Undone(Schema):
    """How many models have their former prices again."""

    changed: int

    model_config = {"json_schema_extra": {"example": {"changed": 12}}}


@router.get("", response=PriceListPage, operation_id="list_price_lists", summary="List files of prices")
def list_price_lists(request: HttpRequest, query: Query[PageQuery]) -> dict:
    """Every file that was read, applied or not."""
    return page(pricing.seen_by(asker(request)), query)


@router.post("", response={201: PriceListDetail}, operation_id="propose_prices", summary="Read a file of prices")
def propose_prices(request: HttpRequest, body: PriceListIn) -> dict:
    """Nothing is changed: it answers with what the file would change. A price in another currency than USD, below 0 or
    that is no number refuses the whole file."""
    user = asker(request)
    return _detail(user, pricing.propose(user, body.source, body.text.encode()))


@router.get("/{list_id}", response=PriceListDetail, operation_id="get_price_list", summary="Read a list of prices")
def get_price_list(request: HttpRequest, list_id: Text) -> dict:
    """One list and its changes."""
    user = asker(request)
    return _detail(user, pricing.fetch(user, list_id))


@router.post(
    "/{list_id}/apply", response=PriceListDetail, operation_id="apply_prices", summary="Apply a list of prices"
)
def apply_prices(request: HttpRequest, list_id: Text, body: Applying) -> dict:
    """409 `stale` when it would change something else than what you looked at."""
    user = asker(request)
    pricing.apply(user, list_id, body.digest)
    return _detail(user, pricing.fetch(user, list_id))


@router.post("/{list_id}/undo", response=Undone, operation_id="undo_prices", summary="Undo a list of prices")
def undo_prices(request: HttpRequest, list_id: Text) -> dict:
    """Models whose prices are still this list's get back what stood before."""
    return {"changed": pricing.undo(asker(request), list_id)}


def _detail(user: User, row: PriceList) -> dict[str, Any]:
    told = {name: getattr(row, name) for name in PriceListOut.model_fields if name != "made_by"}
    told["made_by"] = {"username": row.made_by.username} if row.made_by else None
    if row.applied_at is not None:
        found = [
            (each["route"], each["model"], each["before"], each["after"]) for each in pricing.visible_changes(user, row)
        ]
        return {**told, "changes": [_change(*each) for each in found], "digest": ""}
    news = pricing.news(user, row)
    return {
        **told,
        "changes": [_change(each.route.pk, each.route.model, each.before, each.after) for each in news],
        "digest": pricing.digest_of(news),
    }


def _change(route_id: str, model: str, before: Any, after: Any) -> dict[str, Any]:
    def told(prices: Any) -> dict[str, Any]:
        return dict(zip(("input", "output", "cached"), (None if p is None else str(p) for p in prices), strict=False))

    return {"route_id": route_id, "model": model, "before": told(before), "after": told(after)}
