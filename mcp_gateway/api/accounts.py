"""/api/mcp-accounts: which accounts at MCP servers elsewhere there are, and disconnecting them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents.api.asking import asker
from agents.api.shapes import NEXT, PageQuery, Text, page
from mcp_gateway.models import AccountUse
from mcp_gateway.oauth import accounts
from mcp_gateway.oauth.accounts import Place

router = Router(tags=["MCP servers"])

EXAMPLE: dict[str, Any] = {
    "server_id": "mcp_01jd9z7c3f5h7k9n1q3s5v7x9z",
    "server": "tickets",
    "account": "person",
    "connected": True,
    "issuer": "https://login.example.org",
    "scopes": "tickets:read offline_access",
    "expires_at": "2026-11-20T10:14:02.512Z",
    "connected_at": "2026-11-20T09:14:02.512Z",
    "reason": "",
    "connect_at": "/mcp-accounts/",
}


class McpAccountOut(Schema):
    """A server that is used with an account: everybody's there, or your own."""

    server_id: str
    server: str
    account: AccountUse
    connected: bool
    issuer: str = Field(description="Its sign-in; empty before the first time.")
    scopes: str
    expires_at: datetime | None = Field(description="When the token ends; it is renewed before, if it can be.")
    connected_at: datetime | None
    reason: str = Field(description="Why it must be connected again.")
    connect_at: str = Field(description="The page to connect on: that needs a browser.")

    model_config = {"json_schema_extra": {"example": EXAMPLE}}

    @staticmethod
    def of(place: Place) -> McpAccountOut:
        account = place.account
        return McpAccountOut(
            server_id=place.server.pk,
            server=place.server.name,
            account=AccountUse(place.server.account),
            connected=place.is_connected,
            issuer=account.client.issuer if account else "",
            scopes=account.scopes if account else "",
            expires_at=account.expires_at if account else None,
            connected_at=account.connected_at if account else None,
            reason=account.reason if account else "",
            connect_at="/mcp-accounts/",
        )


class McpAccountPage(Schema):
    """Servers with accounts that you see, the newest first."""

    items: list[McpAccountOut]
    next: str | None = NEXT

    model_config = {"json_schema_extra": {"example": {"items": [EXAMPLE], "next": None}}}


class Disconnected(Schema):
    """The account is forgotten; whether its sign-in heard of it."""

    sign_in_told: bool


@router.get("", response=McpAccountPage, operation_id="list_mcp_accounts", summary="List accounts at MCP servers")
def list_accounts(request: HttpRequest, query: Query[PageQuery]) -> McpAccountPage:
    """Everybody's account where there is one for all, else your own. Nobody else's."""
    user = asker(request)
    found = page(accounts.rows(user), query)
    items = [McpAccountOut.of(each) for each in accounts.places(user, found["items"])]
    return McpAccountPage(items=items, next=found["next"])


@router.delete(
    "/{server_id}", response=Disconnected, operation_id="disconnect_mcp_account", summary="Disconnect an account"
)
def disconnect(request: HttpRequest, server_id: Text) -> Disconnected:
    """Forget the tokens at once, and tell the sign-in. Agents that used the account are refused within a second."""
    return Disconnected(sign_in_told=accounts.disconnect(asker(request), server_id))
