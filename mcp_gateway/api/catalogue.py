"""/api/mcp-catalogue: known MCP servers, each with what to send to add it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Field, Router, Schema

from agents.api.asking import asker
from mcp_gateway import catalogue
from mcp_gateway.models import ServerKind

router = Router(tags=["MCP servers"])

EXAMPLE: dict[str, Any] = {
    "name": "github",
    "title": "GitHub",
    "does": "Repositories, issues, pull requests and workflows, at GitHub's own server.",
    "homepage": "https://github.com/github/github-mcp-server",
    "kind": "http",
    "server": {
        "name": "github",
        "kind": "http",
        "url": "https://api.githubcopilot.com/mcp/",
        "headers": {"Authorization": "Bearer ${GITHUB_TOKEN}"},
        "category": "code",
    },
    "secrets": [{"name": "GITHUB_TOKEN", "what": "A personal access token."}],
    "adapt": "",
    "needs": "",
    "server_id": None,
    "may_add": True,
}


class KnownSecretOut(Schema):
    """A secret to set once the server is added."""

    name: str
    what: str


class KnownServerOut(Schema):
    """A server of the catalogue."""

    name: str
    title: str
    does: str
    homepage: str
    kind: ServerKind
    server: dict[str, Any] = Field(description="What to send to `POST /api/mcp-servers`, once you have looked at it.")
    secrets: list[KnownSecretOut]
    adapt: str = Field(description="What to change of it first; empty when nothing.")
    needs: str = Field(description="What has to be on the machine.")
    server_id: str | None = Field(description="The server of this name that is there already, as far as you see.")
    may_add: bool = Field(description="You may add it: programs are for those who may say a command.")

    model_config = {"json_schema_extra": {"example": EXAMPLE}}


class KnownServerList(Schema):
    """The whole catalogue."""

    items: list[KnownServerOut]

    model_config = {"json_schema_extra": {"example": {"items": [EXAMPLE]}}}


@router.get("", response=KnownServerList, operation_id="list_mcp_catalogue", summary="Known MCP servers")
def list_catalogue(request: HttpRequest) -> dict:
    """Servers many people know, with versions named; for whoever may add servers."""
    return {"items": [_shown(*each) for each in catalogue.offered(asker(request))]}


def _shown(known: catalogue.Known, here: Any, may_add: bool) -> dict[str, Any]:
    return {
        **{name: getattr(known, name) for name in ("name", "title", "does", "homepage", "adapt", "needs")},
        "kind": known.fields["kind"],
        "server": known.fields,
        "secrets": [{"name": each.name, "what": each.what} for each in known.secrets],
        "server_id": here.pk if here else None,
        "may_add": may_add,
    }
