"""What callers are told of a server: its name, its prompts, what it can do and its instructions, as far as that was accepted (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp_gateway import eras, pinning
from mcp_gateway.book import Served
from mcp_gateway.pinning import INSTRUCTIONS, PROMPT
from mcp_gateway.supervisor import Supervisor


def introduction(params: Mapping[str, Any], supervisor: Supervisor, served: Served) -> dict[str, Any]:
    """The answer to ``initialize`` for this server."""
    found: dict[str, Any] = {
        "protocolVersion": eras.agreed(params.get("protocolVersion")),
        "capabilities": _capabilities(supervisor, served),
        "serverInfo": _info(supervisor, served),
    }
    return found | ({"instructions": told} if (told := _instructions(supervisor, served)) else {})


def discovered(supervisor: Supervisor, served: Served) -> dict[str, Any]:
    """The answer to ``server/discover`` for this server."""
    known = supervisor.known
    gone = () if known.is_modern else ("logging", "tasks")
    capabilities = {name: value for name, value in _capabilities(supervisor, served).items() if name not in gone}
    return eras.discovered(capabilities, _instructions(supervisor, served), _info(supervisor, served))


def prompts(served: Served, supervisor: Supervisor) -> list[dict[str, Any]]:
    """Its prompts, those that were accepted, as agents see them."""
    known = supervisor.known
    passed = (each for each in known.prompts if served.passes(f"{PROMPT}{each['name']}", known.marks))
    return [pinning.prompt(each) for each in passed]


def is_known(method: str, served: Served) -> bool:
    """Is this answered with what is known of the server, without asking it or an agent's own copy of it?"""
    if method == "resources/list":
        return served.resources == "pinned"
    return method in ("initialize", "server/discover", "tools/list", "prompts/list", "resources/templates/list")


def _info(supervisor: Supervisor, served: Served) -> dict[str, Any]:
    """What we call the server, and what it calls itself if that was accepted."""
    known = supervisor.known
    found = {"name": supervisor.name, "version": pinning.version(known.info)}
    title = pinning.title(known.info) if served.passes(INSTRUCTIONS, known.marks) else ""
    return found | ({"title": title} if title else {})


def _capabilities(supervisor: Supervisor, served: Served) -> dict[str, Any]:
    """What of it callers reach."""
    found = eras.reaching(supervisor.known.capabilities)
    return {name: value for name, value in found.items() if name != "resources" or served.resources != "off"}


def _instructions(supervisor: Supervisor, served: Served) -> str:
    """What the server says of itself, if that was accepted."""
    known = supervisor.known
    return known.instructions if served.passes(INSTRUCTIONS, known.marks) else ""
