"""/api/souls/{soul_id}/revisions: every text a soul had, what changed between two, and an old one made the next."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import permissions, soul_library
from agents.api.asking import asker
from agents.api.shapes import NEXT, PersonRef, Text
from agents.api.souls import SoulText
from agents.diffing import words
from agents.models import Soul, SoulRevision

router = Router(tags=["Souls"])

EXAMPLE: dict[str, Any] = {
    "number": 3,
    "note": "Shorter",
    "sha256": "5b1e0c2f…",
    "author": {"username": "alice", "name": "Alice Liddell"},
    "created_at": "2026-11-20T09:12:44.120Z",
}


class RevisionOut(Schema):
    """One saved text, without it."""

    number: int
    note: str
    sha256: str
    author: PersonRef | None = Field(description="Null for those who do not manage the soul, unless it is you.")
    created_at: datetime

    model_config = {"json_schema_extra": {"example": EXAMPLE}}


class RevisionText(RevisionOut):
    """One saved text."""

    text: str

    model_config = {"json_schema_extra": {"example": {**EXAMPLE, "text": "Be brief."}}}


class RevisionPage(Schema):
    """Revisions, the newest first."""

    items: list[RevisionOut]
    next: int | None = NEXT


class RevisionQuery(Schema):
    """Which page of the revisions."""

    after: int | None = Field(None, description="The `next` of the page before.")
    limit: int = Field(50, ge=1, le=100, description="How many items at most.")


class PieceOut(Schema):
    """A stretch of text."""

    kind: Literal["same", "added", "removed"]
    text: str


class Diff(Schema):
    """The pieces in order: same and removed ones are the old text, same and added ones the new."""

    old: int
    new: int
    pieces: list[PieceOut]

    model_config = {
        "json_schema_extra": {
            "example": {
                "old": 2,
                "new": 3,
                "pieces": [
                    {"kind": "same", "text": "Be "},
                    {"kind": "removed", "text": "kind."},
                    {"kind": "added", "text": "brief."},
                ],
            }
        }
    }


class Restore(Schema):
    """Which revision's text becomes the next, and what was read."""

    number: int
    version: int = Field(description="The version of the soul you read; 409 if somebody saved since.")

    model_config = {"json_schema_extra": {"example": {"number": 1, "version": 5}}}


def _soul(request: HttpRequest, soul_id: str) -> Soul:
    return permissions.fetch(asker(request), "soul.view", Soul.objects.all(), pk=soul_id)


# Before the address with a number, which this word could be.
@router.post(
    "/{soul_id}/revisions/restore",
    response=SoulText,
    operation_id="restore_soul_revision",
    summary="Restore a revision",
)
def restore_revision(request: HttpRequest, soul_id: Text, body: Restore) -> Soul:
    """The text of an earlier revision becomes the next one; nothing in between is lost."""
    return soul_library.restore(asker(request), soul_id, body.number, body.version)


@router.get(
    "/{soul_id}/revisions",
    response=RevisionPage,
    operation_id="list_soul_revisions",
    summary="List the revisions of a soul",
)
def list_revisions(request: HttpRequest, soul_id: Text, query: Query[RevisionQuery]) -> dict[str, Any]:
    """Every text the soul ever had, without the texts."""
    soul = _soul(request, soul_id)
    rows = soul.revisions.select_related("author").defer("text").order_by("-number")
    if query.after is not None:
        rows = rows.filter(number__lt=query.after)
    found = list(rows[: query.limit + 1])
    items = soul_library.unnamed(asker(request), soul, found[: query.limit])
    return {"items": items, "next": items[-1].number if len(found) > query.limit else None}


@router.get(
    "/{soul_id}/revisions/{number}",
    response=RevisionText,
    operation_id="get_soul_revision",
    summary="Read a revision of a soul",
)
def get_revision(request: HttpRequest, soul_id: Text, number: int) -> SoulRevision:
    """One text by its number."""
    soul = _soul(request, soul_id)
    return soul_library.unnamed(asker(request), soul, [soul_library.revision(soul, number)])[0]


@router.get(
    "/{soul_id}/revisions/{old}/diff/{new}",
    response=Diff,
    operation_id="diff_soul_revisions",
    summary="Compare two revisions",
)
def diff_revisions(request: HttpRequest, soul_id: Text, old: int, new: int) -> dict[str, Any]:
    """What was put in and taken out, word by word."""
    soul = _soul(request, soul_id)
    texts = [soul_library.revision(soul, number).text for number in (old, new)]
    return {"old": old, "new": new, "pieces": words(*texts)}
