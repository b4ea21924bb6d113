"""/api/souls: list, read, write and revise souls."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import permissions, souls
from agents.api.asking import asker
from agents.api.shapes import NEXT, PageQuery, PersonRef, Text, page
from agents.errors import Conflict, Invalid
from agents.models import Soul, Visibility

router = Router(tags=["Souls"])

EXAMPLE: dict[str, Any] = {
    "id": "soul_01jd9z6w2ecn6p8r4s1v7w3x5z",
    "name": "Steady hand",
    "slug": "steady-hand",
    "description": "Calm and exact.",
    "owner": {"username": "alice", "name": "Alice Liddell"},
    "visibility": "private",
    "revision": 3,
    "updated_at": "2026-11-20T09:12:44.120Z",
}


class SoulOut(Schema):
    """A soul without its text."""

    id: str
    name: str
    slug: str
    description: str
    owner: PersonRef | None
    visibility: Visibility
    revision: int
    updated_at: datetime

    model_config = {"json_schema_extra": {"example": EXAMPLE}}


class SoulText(SoulOut):
    """A soul with its text."""

    text: str

    model_config = {
        "json_schema_extra": {"example": {**EXAMPLE, "text": "You are a calm, exact assistant.\n\n- Look, then act.\n"}}
    }


class SoulPage(Schema):
    """Souls, the newest first."""

    items: list[SoulOut]
    next: str | None = NEXT


class SoulIn(Schema):
    """A new soul."""

    name: Text = Field(min_length=1, max_length=80)
    text: str = Field(description="At most 20,000 characters, none of them invisible.")
    description: Text = Field("", max_length=300)
    visibility: Visibility = Visibility.PRIVATE

    model_config = {
        "json_schema_extra": {"example": {"name": "Steady hand", "text": "You are a calm, exact assistant.\n"}}
    }


class Revision(Schema):
    """The next text of a soul, and which revision it was written from."""

    text: str
    revision: int = Field(description="The revision you read; 409 if somebody has saved another since.")

    model_config = {"json_schema_extra": {"example": {"text": "You are a calm, exact editor.\n", "revision": 3}}}


@router.get("", response=SoulPage, operation_id="list_souls", summary="List souls")
def list_souls(request: HttpRequest, query: Query[PageQuery]) -> dict:
    """The souls you own, were given, or that are shared; without their texts."""
    rows = Soul.objects.select_related("owner").defer("text")
    return page(permissions.visible(asker(request), rows), query)


@router.post("", response={201: SoulText}, operation_id="create_soul", summary="Write a soul")
def create_soul(request: HttpRequest, body: SoulIn) -> Soul:
    """A new soul of yours, revision 1."""
    user = asker(request)
    permissions.require(user, "soul.create")
    if not body.name.strip():
        raise Invalid("A soul needs a name.", field="name")
    return souls.create(body.name, body.text, user, description=body.description, visibility=body.visibility)


@router.get("/{soul_id}", response=SoulText, operation_id="get_soul", summary="Read a soul")
def get_soul(request: HttpRequest, soul_id: Text) -> Soul:
    """One soul with its text."""
    return permissions.fetch(asker(request), "soul.view", Soul.objects.select_related("owner"), pk=soul_id)


@router.put("/{soul_id}", response=SoulText, operation_id="revise_soul", summary="Revise a soul")
def revise_soul(request: HttpRequest, soul_id: Text, body: Revision) -> Soul:
    """Save the next revision; the same text changes nothing. Agents use it from their next message on."""
    user = asker(request)
    with transaction.atomic():
        soul = permissions.fetch(user, "soul.edit", Soul.objects.select_for_update(), pk=soul_id)
        if soul.revision != body.revision:
            raise Conflict(
                f"Somebody saved revision {soul.revision} in the meantime.",
                reason="stale",
                action="Read the soul again, then repeat your change.",
            )
        return souls.revise(soul, body.text, user)
