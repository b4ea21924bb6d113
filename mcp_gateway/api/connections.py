"""/api/mcp-servers/{id}/connections and …/hosts: where a server connected to, and who allowed it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import permissions
from agents.api.asking import asker
from agents.api.shapes import NEXT, PageQuery, Text, page
from mcp_gateway.connections import reading
from mcp_gateway.models import McpServer

router = Router(tags=["MCP servers"])

EXAMPLE: dict[str, Any] = {
    "id": "conn_01jd9z7c3f5h7k9n1q3s5v7x9z",
    "agent_id": None,
    "binary": "/usr/bin/python3.11",
    "sha256": "5b1e…",
    "method": "CONNECT",
    "host": "api.example.org",
    "port": 443,
    "address": "151.101.0.223",
    "allowed": True,
    "rule": "api.example.org",
    "reason": "The rule api.example.org allows it.",
    "sent": 1840,
    "received": 91_233,
    "duration_ms": 412.5,
    "at": "2026-11-20T09:12:44.120Z",
}
HOST: dict[str, Any] = {
    "host": "api.example.org",
    "is_allowed": True,
    "allowed_by": "Ada",
    "allowed_at": "2026-11-18T14:02:10.000Z",
    "count": 14,
    "last_at": "2026-11-20T09:12:44.120Z",
}


class McpConnectionOut(Schema):
    """One connection that a server's sandbox asked for. `duration_ms` is null while it goes on, and stays so when Logos
    was killed before it ended."""

    id: str
    agent_id: str | None = Field(
        description="Whose own copy of the server asked; null for everybody's, or not yours to see."
    )
    binary: str
    sha256: str
    method: str
    host: str
    port: int
    address: str
    allowed: bool
    rule: str = Field(description="The entry among the server's hosts that allows it.")
    reason: str
    sent: int
    received: int
    duration_ms: float | None
    at: datetime

    model_config = {"json_schema_extra": {"example": EXAMPLE}}

    @staticmethod
    def resolve_agent_id(row: Any) -> str | None:
        return row.agent.pk if row.agent is not None else None


class McpConnectionPage(Schema):
    """Connections of a server, the newest first."""

    items: list[McpConnectionOut]
    next: str | None = NEXT

    model_config = {"json_schema_extra": {"example": {"items": [EXAMPLE], "next": None}}}


class McpConnectionQuery(PageQuery):
    """Which connections."""

    allowed: bool | None = Field(None, description="Only what was let through, or only what was refused.")
    host: Text = Field("", max_length=253, description="Only this host.")


class McpHostOut(Schema):
    """A host of a server, as it stands among its hosts."""

    host: str
    is_allowed: bool = Field(description="False: it was, and the server reached it then.")
    allowed_by: str | None = Field(description="Who put it there last; null where what is kept does not tell.")
    allowed_at: datetime | None
    count: int = Field(description="Connections that it let through, among those that are kept.")
    last_at: datetime | None

    model_config = {"json_schema_extra": {"example": HOST}}


class McpHostList(Schema):
    """Every host it may reach, and those it did while they were allowed."""

    items: list[McpHostOut]

    model_config = {"json_schema_extra": {"example": {"items": [HOST]}}}


@router.get(
    "/{server_id}/connections",
    response=McpConnectionPage,
    operation_id="list_mcp_connections",
    summary="Where it connected to",
)
def list_connections(request: HttpRequest, server_id: Text, query: Query[McpConnectionQuery]) -> dict:
    """For whoever may edit the server, refused ones too. Of servers outside a sandbox nothing is seen."""
    user = asker(request)
    rows = reading.of(user, server_id)
    if query.allowed is not None:
        rows = rows.filter(allowed=query.allowed)
    if query.host:
        rows = rows.filter(host=query.host)
    found = page(rows, query)
    return {**found, "items": reading.named(user, found["items"])}


@router.get("/{server_id}/hosts", response=McpHostList, operation_id="list_mcp_hosts", summary="Who allowed which host")
def list_hosts(request: HttpRequest, server_id: Text) -> dict:
    """For whoever may edit the server. Of servers outside a sandbox nothing is seen."""
    server = permissions.fetch(asker(request), "server.edit", McpServer.objects.all(), pk=server_id)
    return {"items": reading.hosts(server)}
