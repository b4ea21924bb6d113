"""/api/mcp-servers/{id}/pins: what was accepted of a server, what waits, and the copies of it that agents have."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Router, Schema

from agents import permissions
from agents.api.asking import asker
from agents.api.shapes import PersonRef, Text
from mcp_gateway import copies, launch_pins, pinning, pins, servers
from mcp_gateway.models import McpPin, PinState, ServerState

router = Router(tags=["MCP servers"])


class McpPinOut(Schema):
    """A tool as it was accepted, and as the server offers it now when that is another."""

    tool: str
    state: PinState
    definition: dict[str, Any] = Field(description="What agents get; empty for a new one.")
    offered: dict[str, Any] = Field(description="What waits to be accepted; empty when nothing does.")
    offered_digest: str = Field(description="Send it to accept exactly what you looked at.")
    flags: list[str] = Field(description="What in the offered definition no reader sees.")
    accepted_by: PersonRef | None
    accepted_at: datetime | None

    @staticmethod
    def resolve_flags(pin: McpPin) -> list[str]:
        return pinning.flags(pin.offered or pin.definition)


class McpPinList(Schema):
    """Every tool of a server by name, those that wait included."""

    items: list[McpPinOut]


class McpAcceptIn(Schema):
    """Which change of which tool."""

    tool: Text = Field("", max_length=128)
    digest: Text = Field("", max_length=64, description="The `offered_digest` of what you looked at.")

    model_config = {"json_schema_extra": {"example": {"tool": "create_issue", "digest": "a" * 64}}}


class McpFileOut(Schema):
    """A file that is another now: the beginnings of its digests; empty where there is none."""

    path: str
    before: str
    now: str


class McpLaunchOut(Schema):
    """What is started otherwise than it was accepted."""

    items: list[McpFileOut]
    digest: str = Field(description="Send it to accept exactly what you looked at; empty when nothing waits.")


class McpLaunchIn(Schema):
    """What was looked at."""

    digest: Text = Field("", max_length=64, description="The `digest` of what you looked at.")

    model_config = {"json_schema_extra": {"example": {"digest": "a" * 64}}}


class McpCopyOut(Schema):
    """One agent's own copy of a server."""

    agent_id: str
    agent: str
    state: ServerState
    reason: str
    starts: int
    errors: str = Field(description="The end of its error output, for those who may edit the server.")


class McpCopyList(Schema):
    """The copies of a server, by the agents' names."""

    items: list[McpCopyOut]


@router.get("/{server_id}/pins", response=McpPinList, operation_id="list_mcp_pins", summary="Its tools as accepted")
def list_pins(request: HttpRequest, server_id: Text) -> dict:
    """What agents get of it, and what was changed since and waits."""
    return {"items": pins.of(asker(request), server_id)}


@router.post("/{server_id}/pins", response=McpPinOut, operation_id="accept_mcp_tool", summary="Accept a changed tool")
def accept_tool(request: HttpRequest, server_id: Text, body: McpAcceptIn) -> McpPin:
    """Agents get the tool as it is offered now. 409 `stale` when the server offers another by now."""
    return pins.accept(asker(request), server_id, body.tool, body.digest)


@router.get("/{server_id}/launch", response=McpLaunchOut, operation_id="get_mcp_launch", summary="Its changed files")
def get_launch(request: HttpRequest, server_id: Text) -> dict:
    """What would be started otherwise than somebody accepted, file by file; for who may edit the server."""
    user = asker(request)
    server = permissions.fetch(user, "server.edit", servers.rows(), pk=server_id)
    return {
        "items": [asdict(each) for each in launch_pins.waiting(user, server)],
        "digest": server.health.launch_offered.get("digest", ""),
    }


@router.post(
    "/{server_id}/launch", response={202: McpLaunchOut}, operation_id="accept_mcp_launch", summary="Let it start so"
)
def accept_launch(request: HttpRequest, server_id: Text, body: McpLaunchIn) -> dict:
    """It is started as it is now. For who may say what is started; 409 `stale` when it is another by now."""
    launch_pins.accept(asker(request), server_id, body.digest)
    return {"items": [], "digest": ""}


@router.get("/{server_id}/copies", response=McpCopyList, operation_id="list_mcp_copies", summary="Copies of agents")
def list_copies(request: HttpRequest, server_id: Text) -> dict:
    """The copies that run now of a server with one for each agent: those of agents you see."""
    user = asker(request)
    server = permissions.fetch(user, "server.view", servers.rows(), pk=server_id)
    return {
        "items": [
            {
                "agent_id": each.agent.pk,
                "agent": each.agent.name,
                **{name: getattr(each, name) for name in ("state", "reason", "starts", "errors")},
            }
            for each in copies.of(user, server)
        ]
    }
