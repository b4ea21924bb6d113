"""/api/tokens: one's own API tokens; the secret is shown once, when a token is made or rotated."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import scopes, tokens
from agents.api.asking import asker
from agents.api.shapes import NEXT, PageQuery, Text, page

router = Router(tags=["API tokens"])

EXAMPLE: dict[str, Any] = {
    "id": 7,
    "name": "nightly build",
    "scopes": ["chat", "agents"],
    "hint": "logos_Q3v9xK",
    "created_at": "2026-11-20T09:12:44.120Z",
    "last_used_at": None,
    "expires_at": "2027-02-18T09:12:44.120Z",
}


class TokenOut(Schema):
    """A token, without its secret; ``hint`` is how the secret begins."""

    id: int
    name: str
    scopes: list[str]
    hint: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None

    model_config = {"json_schema_extra": {"example": EXAMPLE}}

    @staticmethod
    def resolve_scopes(obj: Any) -> list[str]:
        """As words."""
        words: list[str] = obj.scopes.split()
        return words


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
        None, ge=1, le=36_500, description="Valid for this long; absent: 90, or LOGOS_TOKEN_MAX_DAYS if that is less."
    )
    scopes: list[Text] | None = Field(
        None,
        max_length=10,
        description=f"What it may be used for: {', '.join(scopes.SCOPES)}; absent: admin, whatever its person may.",
    )

    model_config = {
        "json_schema_extra": {"example": {"name": "nightly build", "days": 90, "scopes": ["chat", "agents"]}}
    }


class RotateIn(Schema):
    """How the old token goes on."""

    hours: int = Field(
        tokens.OVERLAP_HOURS, ge=0, le=tokens.MAX_OVERLAP_HOURS, description="The old token works for this long."
    )

    model_config = {"json_schema_extra": {"example": {"hours": 24}}}


@router.get("", response=TokenPage, operation_id="list_tokens", summary="List your tokens")
def list_tokens(request: HttpRequest, query: Query[PageQuery]) -> dict:
    """Your tokens that are not revoked."""
    return page(tokens.of(asker(request)), query)


@router.post("", response={201: TokenMade}, operation_id="create_token", summary="Make a token")
def create_token(request: HttpRequest, body: TokenIn) -> Any:
    """A token that may do what you may, within its scopes. Keep the secret: it is shown only now."""
    return shown_once(*tokens.make(asker(request), body.name, body.days, body.scopes))


@router.post("/{token_id}/rotate", response={201: TokenMade}, operation_id="rotate_token", summary="Rotate a token")
def rotate_token(request: HttpRequest, token_id: int, body: RotateIn) -> Any:
    """A new secret for the same name, scopes and lifetime; the old one works a while longer."""
    return shown_once(*tokens.rotate(asker(request), token_id, body.hours))


@router.delete("/{token_id}", response={204: None}, operation_id="revoke_token", summary="Revoke a token")
def revoke_token(request: HttpRequest, token_id: int) -> None:
    """The token stops working at once."""
    tokens.revoke(asker(request), token_id)


def shown_once(token: Any, secret: str) -> Any:
    """A new token with its secret, as the answer shows it."""
    token.secret = secret
    return token
