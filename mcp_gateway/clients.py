"""Ready configuration for the MCP clients people use, so that one of them works as an agent (pure)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

NAME = "logos"
VARIABLE = "LOGOS_MCP_TOKEN"
# What stands for a token that is not shown (any more).
PLACEHOLDER = "THE-TOKEN"
MCP_REMOTE = "mcp-remote@0.15.1"
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Known:
    """What a configuration is made of."""

    url: str
    token: str
    agent: str


@dataclass(frozen=True, slots=True)
class Client:
    """A client: where its configuration goes, in which language, what it is, and what else is to be done."""

    name: str
    label: str
    place: str
    language: str
    text: Callable[[Known], str]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a person copies for one client."""

    client: str
    label: str
    place: str
    language: str
    text: str
    note: str


def configurations(url: str, agent: str, token: str = PLACEHOLDER) -> list[Configuration]:
    """For every client there is: how it reaches ``url`` as this agent, with this token."""
    known = Known(url, token, agent)
    return [
        Configuration(each.name, each.label, each.place, each.language, each.text(known), _note(each, known))
        for each in CLIENTS
    ]


def _note(client: Client, known: Known) -> str:
    return client.note.format(variable=VARIABLE, token=known.token)


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _claude_code(known: Known) -> str:
    return f'claude mcp add --transport http {NAME} {known.url} \\\n  --header "Authorization: Bearer {known.token}"'


def _desktop(known: Known) -> str:
    environment = {"MCP_URL": known.url, "MCP_TOKEN": known.token, "MCP_AGENT": known.agent}
    server = {"command": "/path/to/the/checkout/logos", "args": ["mcp-bridge"], "env": environment}
    return _json({"mcpServers": {NAME: server}})


def _remote(known: Known) -> str:
    # Not "Authorization: Bearer …" with a blank: some clients take arguments apart there.
    args = ["-y", MCP_REMOTE, known.url, "--header", "Authorization:${AUTHORIZATION}"]
    if known.url.startswith("http://") and urlsplit(known.url).hostname not in LOCAL:
        args.append("--allow-http")
    server = {"command": "npx", "args": args, "env": {"AUTHORIZATION": f"Bearer {known.token}"}}
    return _json({"mcpServers": {NAME: server}})


def _cursor(known: Known) -> str:
    return _json({"mcpServers": {NAME: {"url": known.url, "headers": _bearer(f"${{env:{VARIABLE}}}")}}})


def _vscode(known: Known) -> str:
    asked = {"type": "promptString", "id": "logos-token", "description": f"Token of {known.agent}", "password": True}
    server = {"type": "http", "url": known.url, "headers": _bearer("${input:logos-token}")}
    return _json({"inputs": [asked], "servers": {NAME: server}})


def _codex(known: Known) -> str:
    return f"[mcp_servers.{NAME}]\nurl = {json.dumps(known.url)}\nbearer_token_env_var = {json.dumps(VARIABLE)}"


def _hermes(known: Known) -> str:
    return (
        f"mcp_servers:\n  {NAME}:\n    url: {json.dumps(known.url)}\n    headers:\n"
        f'      Authorization: "Bearer ${{{VARIABLE}}}"'
    )


def _generic(known: Known) -> str:
    return _json({"mcpServers": {NAME: {"type": "http", "url": known.url, "headers": _bearer(known.token)}}})


_IN_ENVIRONMENT = "Set {variable} to the token where it is started: export {variable}='{token}'"
_DESKTOP_FILE = "claude_desktop_config.json (Settings, Developer, Edit config)"
CLIENTS = (
    Client("claude-code", "Claude Code", "in a terminal", "shell", _claude_code),
    Client(
        "claude-desktop", "Claude Desktop", _DESKTOP_FILE, "json", _desktop,
        "Where a checkout of Logos is on that computer; it need not be this one. Start Claude again afterwards.",
    ),
    Client(
        "claude-desktop-npx", "Claude Desktop without a checkout", _DESKTOP_FILE, "json", _remote,
        "Needs Node. For every client that only starts programs. Start it again afterwards.",
    ),
    Client("cursor", "Cursor", "~/.cursor/mcp.json, or .cursor/mcp.json of a project", "json", _cursor, _IN_ENVIRONMENT),
    Client("vscode", "VS Code", ".vscode/mcp.json", "json", _vscode, "VS Code asks for the token and keeps it."),
    Client("codex", "Codex", "~/.codex/config.toml", "toml", _codex, _IN_ENVIRONMENT),
    Client(
        "hermes", "Hermes Agent", "~/.hermes/config.yaml", "yaml", _hermes,
        "Put {variable}={token} into ~/.hermes/.env.",
    ),
    Client("generic", "Other clients", "their mcp.json", "json", _generic),
)  # fmt: skip
