"""/api/tokens: one's own API tokens; the secret is shown once, when a token is made."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import tokens
from agents.api.asking import asker
from agents.api.shapes import NEXT, PageQuery, Text, page

router = Router(tags=["API tokens"])

EXAMPLE: dict[str, Any] = {
    "id": 7,
    "name": "nightly build",
    "hint": "logos_Q3v9xK",
    "created_at": "2026-11-20T09:12:44.120Z",
    "last_used_at": None,
    "expires_at": "2027-02-18T09:12:44.120Z",
}


class TokenOut(Schema):
    """A token, without its secret; ``hint`` is how the secret begins."""

    id: int
    name: str
    hint: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None

    model_config = {"json_schema_extra": {"example": EXAMPLE}}


class TokenMade(TokenOut):
    """A new token with its secret, which cannot be read again."""

    secret: str

    model_config = {"json_schema_extra": {"example": {**EXAMPLE, "secret": "logos_… (49 characters)"}}}


class TokenPage(Schema):
    """Tokens, the newest first."""

    items: list[TokenOut]
    next: str | None = NEXT


class TokenIn(Schema):
    """A new token."""

    name: Text = Field(min_length=1, max_length=80, description="What it is for.")
    days: int | None = Field(
        None, ge=1, le=tokens.MAX_DAYS, description="Valid for this long; absent: until it is revoked."
    )

    model_config = {"json_schema_extra": {"example": {"name": "nightly build", "days": 90}}}


@router.get("", response=TokenPage, operation_id="list_tokens", summary="List your tokens")
def list_tokens(request: HttpRequest, query: Query[PageQuery]) -> dict:
    """Your tokens that are not revoked."""
    return page(tokens.of(asker(request)), query)


@router.post("", response={201: TokenMade}, operation_id="create_token", summary="Make a token")
def create_token(request: HttpRequest, body: TokenIn) -> TokenMade:
    """A token that may do whatever you may. Keep the secret: it is shown only now."""
    token, secret = tokens.make(asker(request), body.name, body.days)
    return TokenMade(**TokenOut.from_orm(token).dict(), secret=secret)


@router.delete("/{token_id}", response={204: None}, operation_id="revoke_token", summary="Revoke a token")
def revoke_token(request: HttpRequest, token_id: int) -> None:
    """The token stops working at once."""
    tokens.revoke(asker(request), token_id)
