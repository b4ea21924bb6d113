"""/api/service-accounts: accounts of programs that one looks after, and their tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import service_accounts, tokens
from agents.api.asking import asker
from agents.api.shapes import NEXT, PageQuery, Text, page
from agents.api.tokens import RotateIn, TokenIn, TokenMade, TokenPage, shown_once
from agents.models import Role, User

router = Router(tags=["Service accounts"])

EXAMPLE: dict[str, Any] = {
    "id": 41,
    "name": "nightly-build",
    "role": "user",
    "keeper": "alice",
    "suspended": False,
    "works": True,
    "made_at": "2026-11-20T09:12:44.120Z",
}


class ServiceAccountOut(Schema):
    """An account of a program. ``keeper`` is null when the team keeps it; ``works`` is false while it or its keeper is
    suspended."""

    id: int
    name: str = Field(alias="username")
    role: str
    keeper: str | None
    suspended: bool
    works: bool
    made_at: datetime = Field(alias="date_joined")

    model_config = {"json_schema_extra": {"example": EXAMPLE}}

    @staticmethod
    def resolve_keeper(obj: User) -> str | None:
        """By user name."""
        return obj.keeper.username if obj.keeper else None

    @staticmethod
    def resolve_suspended(obj: User) -> bool:
        """Itself."""
        return not obj.is_active

    @staticmethod
    def resolve_works(obj: User) -> bool:
        """Do its tokens?"""
        return obj.is_active and (obj.keeper is None or obj.keeper.is_active)


class ServiceAccountPage(Schema):
    """Service accounts, the newest first."""

    items: list[ServiceAccountOut]
    next: str | None = NEXT


class ServiceAccountIn(Schema):
    """A new service account."""

    name: Text = Field(min_length=1, max_length=service_accounts.LONGEST, description="Letters, digits and @ . + - _.")
    role: Literal["admin", "operator", "user", "viewer"] = Field("viewer", description="Your own role at most.")
    team: bool = Field(False, description="Kept by the team, for admins to make.")

    model_config = {"json_schema_extra": {"example": {"name": "nightly-build", "role": "user"}}}


class ServiceAccountChange(Schema):
    """What is to be another way; what is absent stays."""

    suspended: bool | None = Field(None, description="Its tokens stop at once, or work again.")
    keeper: Text | None = Field(None, max_length=150, description="Who keeps it from now on; empty is the team.")
    revoke_tokens: bool = Field(
        True, description="With another keeper: its tokens stop working, because the former keeper may have copies."
    )

    model_config = {"json_schema_extra": {"example": {"keeper": "bob", "revoke_tokens": True}}}


@router.get("", response=ServiceAccountPage, operation_id="list_service_accounts", summary="List service accounts")
def list_service_accounts(request: HttpRequest, query: Query[PageQuery]) -> dict:
    """Those you keep; as an admin, all."""
    return page(service_accounts.of(asker(request)), query)


@router.post(
    "", response={201: ServiceAccountOut}, operation_id="create_service_account", summary="Make a service account"
)
def create_service_account(request: HttpRequest, body: ServiceAccountIn) -> Any:
    """An account for a program. It has no password and no pages, only tokens."""
    return service_accounts.make(asker(request), body.name, Role(body.role), for_team=body.team)


@router.get("/{account_id}", response=ServiceAccountOut, operation_id="get_service_account", summary="See one")
def get_service_account(request: HttpRequest, account_id: int) -> User:
    """One you look after."""
    return service_accounts.fetch(asker(request), account_id)


@router.patch("/{account_id}", response=ServiceAccountOut, operation_id="change_service_account", summary="Change one")
def change_service_account(request: HttpRequest, account_id: int, body: ServiceAccountChange) -> User:
    """Suspend it, let it work again, or give it to another keeper. Its tokens are revoked with that unless you say
    otherwise."""
    user = asker(request)
    account = service_accounts.fetch(user, account_id)
    if body.suspended is not None:
        account = service_accounts.suspend(user, account_id, suspended=body.suspended)
    if body.keeper is not None:
        account = service_accounts.give(user, account_id, body.keeper, revoke=body.revoke_tokens)
    return account


@router.get(
    "/{account_id}/tokens", response=TokenPage, operation_id="list_service_account_tokens", summary="List its tokens"
)
def list_its_tokens(request: HttpRequest, account_id: int, query: Query[PageQuery]) -> dict:
    """Those that are not revoked."""
    return page(tokens.of(service_accounts.fetch(asker(request), account_id)), query)


@router.post(
    "/{account_id}/tokens",
    response={201: TokenMade},
    operation_id="create_service_account_token",
    summary="Make a token for it",
)
def create_its_token(request: HttpRequest, account_id: int, body: TokenIn) -> Any:
    """The account may do what its role may, within the token's scopes. The secret is shown only now."""
    user = asker(request)
    account = service_accounts.fetch(user, account_id)
    return shown_once(*tokens.make(account, body.name, body.days, body.scopes, maker=user))


@router.post(
    "/{account_id}/tokens/{token_id}/rotate",
    response={201: TokenMade},
    operation_id="rotate_service_account_token",
    summary="Rotate one of its tokens",
)
def rotate_its_token(request: HttpRequest, account_id: int, token_id: int, body: RotateIn) -> Any:
    """A new secret; the old one works a while longer."""
    return shown_once(*tokens.rotate(service_accounts.fetch(asker(request), account_id), token_id, body.hours))


@router.delete(
    "/{account_id}/tokens/{token_id}",
    response={204: None},
    operation_id="revoke_service_account_token",
    summary="Revoke one of its tokens",
)
def revoke_its_token(request: HttpRequest, account_id: int, token_id: int) -> None:
    """The token stops working at once."""
    tokens.revoke(service_accounts.fetch(asker(request), account_id), token_id)
