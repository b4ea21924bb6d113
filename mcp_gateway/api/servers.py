"""/api/mcp-servers: list, add, change, restart and delete MCP servers, and set their secrets."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.db import transaction
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import permissions
from agents.api.asking import asker
from agents.api.shapes import NEXT, PageQuery, PersonRef, Text, Version, given, page
from agents.models import Visibility
from mcp_gateway import launching, servers
from mcp_gateway.boxes import MAX_HOSTS, MAX_SHOWN
from mcp_gateway.launching import MAX_ARGS, MAX_TOOLS
from mcp_gateway.models import (
    AccessTier,
    AccountUse,
    Children,
    McpSecret,
    McpServer,
    Place,
    Resources,
    ServerKind,
    ServerState,
)
from mcp_gateway.sampling import setting

router = Router(tags=["MCP servers"])

EXAMPLE: dict[str, Any] = {
    "id": "mcp_01jd9z7c3f5h7k9n1q3s5v7x9z",
    "name": "github",
    "description": "Issues and pull requests.",
    "category": "code",
    "kind": "stdio",
    "command": "npx",
    "args": ["-y", "@modelcontextprotocol/server-github@2025.4.8"],
    "env": {"GITHUB_PERSONAL_ACCESS_TOKEN": "${GITHUB_TOKEN}"},
    "cwd": "",
    "limits": {"open_files": 1024},
    "place": "sandbox",
    "shows": [],
    "hosts": ["api.github.com", "registry.npmjs.org"],
    "url": "",
    "headers": {},
    "allows_private": False,
    "account": "none",
    "client_id": "",
    "scopes": "",
    "timeout_s": 120,
    "connect_timeout_s": 60,
    "enabled": True,
    "tier": "user",
    "asks_caller": False,
    "allows_new": False,
    "resources": "pinned",
    "children": "shared",
    "idle_s": 600,
    "max_children": 8,
    "max_result_kb": 1024,
    "max_argument_kb": 1024,
    "masks_keys": False,
    "include": [],
    "exclude": ["delete_repository"],
    "sampling": False,
    "sampling_route": None,
    "sampling_models": [],
    "sampling_tokens": 1024,
    "sampling_timeout_s": 60,
    "sampling_rpm": 10,
    "sampling_rounds": 10,
    "sampling_tool_rounds": 0,
    "secrets": ["GITHUB_TOKEN"],
    "warnings": [],
    "health": {
        "state": "ready",
        "reason": "",
        "since": "2026-11-20T09:14:02.512Z",
        "starts": 1,
        "protocol": "2025-11-25",
        "title": "GitHub",
        "walls": "userns mnt pid net ipc uts rlimits landlock:7 seccomp",
        "tools": [{"name": "create_issue", "description": "Create an issue"}],
    },
    "owner": {"username": "ada", "name": "Ada Lovelace"},
    "visibility": "shared",
    "version": 3,
    "updated_at": "2026-11-20T09:12:44.120Z",
}
_WRITTEN = ("name", "description", "category", "command", "args", "env", "limits", "exclude")


class McpToolOut(Schema):
    """A tool as the server itself names it now."""

    name: str
    description: str


class McpHealthOut(Schema):
    """How a server was when the gateway last looked."""

    state: ServerState
    reason: str
    since: datetime
    starts: int
    protocol: str = Field(description="The revision of the protocol it speaks; empty when it never answered.")
    title: str = Field(description="What it calls itself.")
    walls: str = Field(description="What stands between it and this host; empty where nothing does.")
    tools: list[McpToolOut]


class McpServerOut(Schema):
    """An MCP server; of its secrets only the names."""

    id: str
    name: str
    description: str
    category: str
    kind: ServerKind
    command: str
    args: list[str]
    env: dict[str, str]
    cwd: str
    limits: dict[str, int]
    place: Place = Field(description="Where a program runs: in a sandbox of its own, or on the host as Logos does.")
    shows: list[str] = Field(description="Folders of this host that it may read in its sandbox.")
    hosts: list[str] = Field(description="Hosts that it may reach from its sandbox.")
    url: str = Field(description="Where a server elsewhere is.")
    headers: dict[str, str]
    allows_private: bool = Field(description="It may be in our own network, there also without https.")
    account: AccountUse = Field(description="By whose account a server elsewhere is used.")
    client_id: str = Field(description="What its sign-in knows Logos as, where that was given.")
    scopes: str
    timeout_s: int
    connect_timeout_s: int
    enabled: bool
    tier: AccessTier = Field(description="Who may let an agent use it.")
    asks_caller: bool = Field(description="What it asks of a client is passed on to the agent that called it.")
    allows_new: bool = Field(description="Agents get tools that are new at once.")
    resources: Resources = Field(description="Its resources as somebody accepted them, as they are, or none.")
    children: Children = Field(description="Whom a process of a program serves: everybody, or one agent.")
    idle_s: int = Field(description="How long a copy stays that its agent does not use.")
    max_children: int
    max_result_kb: int = Field(description="A longer result of it is cut, and the agent told so.")
    max_argument_kb: int = Field(description="A longer call of it is refused.")
    masks_keys: bool = Field(description="What looks like a key is blotted out of all it says.")
    include: list[str]
    exclude: list[str]
    sampling: bool = Field(description="It may ask a model, at the expense of the run or agent it is for.")
    sampling_route: str | None = Field(alias="sampling_route_id", description="The model it asks, by its route's id.")
    sampling_models: list[str] = Field(description="Others that its hints may choose, by their routes' ids.")
    sampling_tokens: int = Field(description="Of an answer at most.")
    sampling_timeout_s: int
    sampling_rpm: int = Field(description="Questions within a minute at most.")
    sampling_rounds: int = Field(description="Of one call at most.")
    sampling_tool_rounds: int = Field(description="In how many the model may use tools of the server; 0: no tools.")
    secrets: list[str]
    warnings: list[str] = Field(description="What to know before trusting it, and what it lacks.")
    health: McpHealthOut
    owner: PersonRef | None
    visibility: Visibility
    version: int
    updated_at: datetime

    model_config = {"json_schema_extra": {"example": EXAMPLE}}

    @staticmethod
    def resolve_secrets(server: McpServer) -> list[str]:
        return [row.name for row in server.secrets.all()]

    @staticmethod
    def resolve_warnings(server: McpServer) -> list[str]:
        return servers.warnings(server)


class McpServerPage(Schema):
    """MCP servers, the newest first."""

    items: list[McpServerOut]
    next: str | None = NEXT

    model_config = {"json_schema_extra": {"example": {"items": [EXAMPLE], "next": None}}}


class McpServerIn(Schema):
    """A new server: a command, which runs on this machine, so that only admins may say it; or an address elsewhere."""

    name: Text = Field(description="1 to 32 small letters, digits and dashes; no other server has it.")
    kind: ServerKind = ServerKind.STDIO
    command: Text = Field("", max_length=300, description="One program, by name or whole path. No shell runs it.")
    args: list[Text] = Field([], max_length=MAX_ARGS)
    env: dict[Text, Text] = Field({}, description="Values may hold `${NAME}` of the server's secrets.")
    cwd: Text = Field("", max_length=300)
    limits: dict[Text, int] = Field({}, description="`memory_mb`, `open_files`, `file_mb`.")
    place: Place = Field(Place.SANDBOX, description="`host`: as Logos itself does, without walls.")
    shows: list[Text] = Field([], max_length=MAX_SHOWN, description="Whole paths that it may read in its sandbox.")
    hosts: list[Text] = Field(
        [],
        max_length=MAX_HOSTS,
        description="`name` or `name:port`, with `private:` before a name of your own network; without any it has no network.",
    )
    url: Text = Field("", max_length=500, description="Of a server of kind `http`: https on the open internet.")
    headers: dict[Text, Text] = Field({}, description="Values may hold `${NAME}` of the server's secrets.")
    allows_private: bool = Field(
        False, description="Addresses of your own network, there also without https: for admins."
    )
    account: AccountUse = Field(AccountUse.NONE, description="Connected with OAuth: everybody's, or each person's own.")
    client_id: Text = Field("", max_length=300, description="Where its sign-in neither reads documents nor registers.")
    scopes: Text = Field("", max_length=500, description="What to ask for; empty: what the server says.")
    description: Text = Field("", max_length=300)
    category: Text = Field("", max_length=40)
    timeout_s: int = Field(120, ge=1, le=3600)
    connect_timeout_s: int = Field(60, ge=1, le=3600)
    enabled: bool = True
    tier: AccessTier = AccessTier.CATEGORY
    asks_caller: bool = False
    allows_new: bool = False
    resources: Resources = Field(Resources.PINNED, description="`open`: as the server lists them; `off`: none.")
    children: Children = Field(Children.SHARED, description="`per_agent`: a copy of the program for each agent.")
    idle_s: int = Field(600, ge=10, le=86_400)
    max_children: int = Field(8, ge=1, le=64, description="Over it the copy that was idle longest is ended.")
    max_result_kb: int = Field(1024, ge=1, le=launching.SIZES["max_result_kb"])
    max_argument_kb: int = Field(1024, ge=1, le=launching.SIZES["max_argument_kb"])
    masks_keys: bool = False
    include: list[Text] = Field([], max_length=MAX_TOOLS, description="Only these tools; none: all.")
    exclude: list[Text] = Field([], max_length=MAX_TOOLS, description="Not these tools.")
    sampling: bool = False
    sampling_route: Text | None = Field(None, max_length=40, description="The id of a model route that you see.")
    sampling_models: list[Text] = Field(
        [], max_length=setting.MOST_OTHERS, description="Others that its hints may choose: ids or names you see."
    )
    sampling_tokens: int = Field(1024, ge=1, le=200_000)
    sampling_timeout_s: int = Field(60, ge=1, le=3600)
    sampling_rpm: int = Field(10, ge=1, le=600)
    sampling_rounds: int = Field(10, ge=1, le=100)
    sampling_tool_rounds: int = Field(0, ge=0, le=50)
    visibility: Visibility = Visibility.PRIVATE

    model_config = {"json_schema_extra": {"example": {name: EXAMPLE[name] for name in _WRITTEN}}}


class McpServerPatch(Schema):
    """What is to change; what is left out stays."""

    version: Version
    name: Text | None = None
    kind: ServerKind | None = None
    command: Text | None = Field(None, max_length=300)
    args: list[Text] | None = Field(None, max_length=MAX_ARGS, description="The whole list.")
    env: dict[Text, Text] | None = Field(None, description="All of it.")
    cwd: Text | None = Field(None, max_length=300)
    limits: dict[Text, int] | None = None
    place: Place | None = None
    shows: list[Text] | None = Field(None, max_length=MAX_SHOWN, description="All of them.")
    hosts: list[Text] | None = Field(None, max_length=MAX_HOSTS, description="All of them.")
    url: Text | None = Field(None, max_length=500)
    headers: dict[Text, Text] | None = Field(None, description="All of them.")
    allows_private: bool | None = None
    account: AccountUse | None = None
    client_id: Text | None = Field(None, max_length=300)
    scopes: Text | None = Field(None, max_length=500)
    description: Text | None = Field(None, max_length=300)
    category: Text | None = Field(None, max_length=40)
    timeout_s: int | None = Field(None, ge=1, le=3600)
    connect_timeout_s: int | None = Field(None, ge=1, le=3600)
    enabled: bool | None = None
    tier: AccessTier | None = None
    asks_caller: bool | None = None
    allows_new: bool | None = None
    resources: Resources | None = None
    children: Children | None = None
    idle_s: int | None = Field(None, ge=10, le=86_400)
    max_children: int | None = Field(None, ge=1, le=64)
    max_result_kb: int | None = Field(None, ge=1, le=launching.SIZES["max_result_kb"])
    max_argument_kb: int | None = Field(None, ge=1, le=launching.SIZES["max_argument_kb"])
    masks_keys: bool | None = None
    include: list[Text] | None = Field(None, max_length=MAX_TOOLS, description="The whole list.")
    exclude: list[Text] | None = Field(None, max_length=MAX_TOOLS, description="The whole list.")
    sampling: bool | None = None
    sampling_route: Text | None = Field(None, max_length=40, description="The id of a model route; empty: none.")
    sampling_models: list[Text] | None = Field(
        None, max_length=setting.MOST_OTHERS, description="The whole list: ids or names of models you see."
    )
    sampling_tokens: int | None = Field(None, ge=1, le=200_000)
    sampling_timeout_s: int | None = Field(None, ge=1, le=3600)
    sampling_rpm: int | None = Field(None, ge=1, le=600)
    sampling_rounds: int | None = Field(None, ge=1, le=100)
    sampling_tool_rounds: int | None = Field(None, ge=0, le=50)
    end_access: bool = Field(
        False, description="Also take back what agents were given until now, for instance when `tier` gets narrower."
    )

    model_config = {"json_schema_extra": {"example": {"version": 3, "enabled": False}}}


class McpSecretOut(Schema):
    """A secret without its value, which is never shown again."""

    name: str
    set_by: PersonRef | None
    set_at: datetime


class McpSecretIn(Schema):
    """A value for a name; it replaces the one stored."""

    value: Text = Field("", description="8 characters at least.")

    model_config = {"json_schema_extra": {"example": {"value": "a long token"}}}


class Ordered(Schema):
    """What was asked for; the gateway does it within a second."""

    asked: Literal["restart"] = "restart"


@router.get("", response=McpServerPage, operation_id="list_mcp_servers", summary="List MCP servers")
def list_servers(request: HttpRequest, query: Query[PageQuery]) -> dict:
    """The servers you own, were given, or that are shared."""
    return page(permissions.visible(asker(request), servers.rows()), query)


@router.post("", response={201: McpServerOut}, operation_id="create_mcp_server", summary="Add an MCP server")
def create_server(request: HttpRequest, body: McpServerIn) -> McpServer:
    """A new server of yours, started at once unless it is disabled."""
    fields = body.dict()
    made = servers.create(asker(request), fields.pop("name"), fields.pop("command"), **fields)
    return servers.rows().get(pk=made.pk)


@router.get("/{server_id}", response=McpServerOut, operation_id="get_mcp_server", summary="Read an MCP server")
def get_server(request: HttpRequest, server_id: Text) -> McpServer:
    """One server by its id, with its state and its tools."""
    return permissions.fetch(asker(request), "server.view", servers.rows(), pk=server_id)


@router.patch("/{server_id}", response=McpServerOut, operation_id="change_mcp_server", summary="Change an MCP server")
def change_server(request: HttpRequest, server_id: Text, body: McpServerPatch) -> McpServer:
    """Set what the body holds; it is started anew if need be. 409 `stale` when somebody saved since the `version` you
    read."""
    servers.change(asker(request), server_id, body.version, **given(body))
    return servers.rows().get(pk=server_id)


@router.delete("/{server_id}", response={204: None}, operation_id="delete_mcp_server", summary="Delete an MCP server")
def delete_server(request: HttpRequest, server_id: Text) -> None:
    """End it and forget it, with its secrets."""
    servers.remove(asker(request), server_id)


@router.post(
    "/{server_id}/restart", response={202: Ordered}, operation_id="restart_mcp_server", summary="Start it anew"
)
def restart_server(request: HttpRequest, server_id: Text) -> Ordered:
    """End its process and start it again, also when it is parked. 409 `disabled` for one that is disabled."""
    servers.restart(asker(request), server_id)
    return Ordered()


@router.put(
    "/{server_id}/secrets/{name}", response=McpSecretOut, operation_id="put_mcp_secret", summary="Set a secret of it"
)
def put_secret(request: HttpRequest, server_id: Text, name: Text, body: McpSecretIn) -> McpSecret:
    """Store a value under a name that the server's environment can hold as `${NAME}`."""
    with transaction.atomic():
        return servers.put_secret(asker(request), server_id, name, body.value)


@router.delete(
    "/{server_id}/secrets/{name}",
    response={204: None},
    operation_id="delete_mcp_secret",
    summary="Remove a secret of it",
)
def delete_secret(request: HttpRequest, server_id: Text, name: Text) -> None:
    """Forget a secret."""
    servers.remove_secret(asker(request), server_id, name)
