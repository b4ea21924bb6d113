"""/api/agents/{id}/mcp-access, /mcp-tokens, /mcp-clients and /mcp-calls: what an agent may use, who speaks as it, what it called."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import permissions
from agents.api.asking import asker
from agents.api.shapes import NEXT, PageQuery, PersonRef, Text, page
from agents.models import Agent
from mcp_gateway import access, clients, where
from mcp_gateway.models import McpAccess, McpCall

router = Router(tags=["MCP access"])

EXAMPLE: dict[str, Any] = {
    "id": "access_01jd9z7c3f5h7k9n1q3s5v7x9z",
    "server": {"id": "mcp_01jd9z7c3f5h7k9n1q3s5v7x9z", "name": "github"},
    "given_by": {"username": "alice", "name": "Alice Liddell"},
    "reason": "Triage",
    "created_at": "2026-11-20T09:12:44.120Z",
    "expires_at": "2026-11-20T10:12:44.120Z",
    "revoked_at": None,
    "is_live": True,
}


class McpServerRef(Schema):
    """The server it is about."""

    id: str
    name: str


class McpAccessOut(Schema):
    """An agent may use a server, or might."""

    id: str
    server: McpServerRef
    given_by: PersonRef | None
    reason: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    is_live: bool

    model_config = {"json_schema_extra": {"example": EXAMPLE}}


class McpAccessPage(Schema):
    """What an agent was given, the newest first, also what is over."""

    items: list[McpAccessOut]
    next: str | None = NEXT

    model_config = {"json_schema_extra": {"example": {"items": [EXAMPLE], "next": None}}}


class McpAccessIn(Schema):
    """Let the agent use a server."""

    server_id: Text = Field("", description="An MCP server you may see.")
    minutes: int | None = Field(None, ge=1, le=access.MAX_MINUTES, description="None: until it is taken back.")
    reason: Text = Field("", max_length=300)

    model_config = {
        "json_schema_extra": {"example": {"server_id": EXAMPLE["server"]["id"], "minutes": 60, "reason": "Triage"}}
    }


class McpTokenOut(Schema):
    """A token by which a client outside speaks as the agent; its secret is shown once, when it is made."""

    id: int
    name: str
    hint: str = Field(description="How it begins.")
    made_by: PersonRef | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")


class McpTokenList(Schema):
    """Those that are not revoked."""

    items: list[McpTokenOut]


class McpTokenIn(Schema):
    """What a new token is for."""

    name: Text = Field("", max_length=80)
    days: int = Field(access.DEFAULT_DAYS, ge=1, le=access.MAX_DAYS)

    model_config = {"json_schema_extra": {"example": {"name": "my editor", "days": 90}}}


class McpTokenMade(McpTokenOut):
    """A new token with its secret, which cannot be read again."""

    secret: str


class McpClientOut(Schema):
    """What one client needs to work as the agent."""

    client: str
    label: str
    place: str = Field(description="The file it goes into, or where it is typed.")
    language: str
    text: str
    note: str


class McpClientList(Schema):
    """One for each client Logos knows, and one for all others."""

    url: str = Field(description="Where they find the hub.")
    items: list[McpClientOut]


class McpCallOut(Schema):
    """One call, without its arguments and its result."""

    id: str
    server: str = Field(alias="server_name")
    method: str
    tool: str
    outcome: str
    reason: str
    duration_ms: float
    arguments_digest: str = Field(description="The same for the same arguments.")
    decision: str = Field(description="What the rules said: allow, notify, ask or block; empty where none was asked.")
    argument_bytes: int = Field(description="How long the message with the call was.")
    result_bytes: int = Field(description="How long the server's answer was, also where it was cut.")
    via: str = Field(description="`socket` of the agent's sandbox, or `token` of a client outside.")
    run_id: str
    at: datetime

    model_config = {"populate_by_name": True}


class McpCallPage(Schema):
    """Calls, the newest first."""

    items: list[McpCallOut]
    next: str | None = NEXT


@router.get(
    "/{agent_id}/mcp-access", response=McpAccessPage, operation_id="list_mcp_access", summary="Which servers it may use"
)
def list_access(request: HttpRequest, agent_id: Text, query: Query[PageQuery]) -> dict:
    """What the agent was given, also what is over."""
    agent = _agent(request, agent_id, "access.view")
    return page(permissions.visible(asker(request), access.rows()).filter(agent=agent), query)


@router.post(
    "/{agent_id}/mcp-access",
    response={201: McpAccessOut},
    operation_id="give_mcp_access",
    summary="Let it use a server",
)
def give_access(request: HttpRequest, agent_id: Text, body: McpAccessIn) -> McpAccess:
    """The agent may use the server from now on; what it had of it before ends."""
    return access.give(asker(request), agent_id, body.server_id, minutes=body.minutes, reason=body.reason)


@router.delete(
    "/{agent_id}/mcp-access/{access_id}",
    response={204: None},
    operation_id="revoke_mcp_access",
    summary="Take a server from it",
)
def revoke_access(request: HttpRequest, agent_id: Text, access_id: Text) -> None:
    """It bites within a second, calls under way end by themselves."""
    access.revoke(asker(request), access_id, agent_id=agent_id)


@router.get(
    "/{agent_id}/mcp-tokens", response=McpTokenList, operation_id="list_mcp_tokens", summary="Who speaks as it outside"
)
def list_tokens(request: HttpRequest, agent_id: Text) -> dict:
    """The tokens of clients outside its sandbox."""
    agent = _agent(request, agent_id, "access.give")
    return {"items": access.tokens_of(agent)}


@router.post(
    "/{agent_id}/mcp-tokens",
    response={201: McpTokenMade},
    operation_id="make_mcp_token",
    summary="Let a client speak as it",
)
def make_token(request: HttpRequest, agent_id: Text, body: McpTokenIn) -> dict:
    """A token for `Authorization: Bearer` at `/mcp` and `/mcp/{server}`."""
    token, secret = access.make_token(asker(request), agent_id, body.name, body.days)
    return {**McpTokenOut.from_orm(token).model_dump(by_alias=True), "made_by": token.made_by, "secret": secret}


@router.delete(
    "/{agent_id}/mcp-tokens/{token_id}",
    response={204: None},
    operation_id="revoke_mcp_token",
    summary="Revoke such a token",
)
def revoke_token(request: HttpRequest, agent_id: Text, token_id: int) -> None:
    """It opens nothing any more, within a second."""
    access.revoke_token(asker(request), agent_id, token_id)


@router.get(
    "/{agent_id}/mcp-clients",
    response=McpClientList,
    operation_id="list_mcp_clients",
    summary="Configuration of clients",
)
def list_clients(request: HttpRequest, agent_id: Text) -> dict:
    """Ready configuration for common MCP clients, with a word where the token goes."""
    agent = _agent(request, agent_id, "access.give")
    url = where.address(request)
    return {"url": url, "items": clients.configurations(url, agent.name)}


@router.get("/{agent_id}/mcp-calls", response=McpCallPage, operation_id="list_mcp_calls", summary="What it called")
def list_calls(request: HttpRequest, agent_id: Text, query: Query[PageQuery]) -> dict:
    """Every call of the agent to MCP servers, refused ones too."""
    agent = _agent(request, agent_id, "mcpcall.view")
    return page(permissions.visible(asker(request), McpCall.objects.all()).filter(agent=agent), query)


def _agent(request: HttpRequest, agent_id: str, action: str) -> Agent:
    return permissions.fetch(asker(request), action, Agent.objects.alive(), pk=agent_id)
