"""What a call is about, as rules and people see it: paths, hosts, the command, and a title in words. Pure."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from agents import hosts
from agents.errors import Invalid
from sandboxes.tool_server import outside, paths, processes
from sandboxes.tool_server.catalogue import Tool
from sandboxes.tool_server.deciding import Thing

_PORTS = {"http": 80, "https": 443}


def things(tool: Tool, given: dict[str, Any]) -> list[Thing]:
    """Everything rules may look at. Invalid for arguments that name nothing a tool may touch."""
    if outside.is_outside(tool.name):
        return outside.things(given)
    found = [Thing("path", paths.canonical(given[name])) for name in tool.paths if given.get(name)]
    found += [Thing("tree", paths.canonical(given.get(name) or "")) for name in tool.trees]
    if "url" in given:
        found.append(Thing("host", address_of(given["url"], tool.family == "git")[0]))
    if "host" in given:
        found.append(Thing("host", host_of(given["host"], "host")))
    if tool.name == "process.run":
        processes.check(given)
        found.append(Thing("command", processes.command_of(given), is_shell="command" in given))
    return found


def address_of(url: str, only_https: bool = False) -> tuple[str, int]:
    """Host and port of an address. Invalid unless it is a plain http or https one, without a password in it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _no_address("It is not an address.") from error
    if parts.scheme not in (("https",) if only_https else _PORTS) or not parts.hostname:
        raise _no_address(f"It begins with {'https://' if only_https else 'http:// or https://'}.")
    if parts.username is not None or parts.password is not None:
        raise _no_address("It holds no name or password.")
    if parts.fragment or not url.isascii() or any(not char.isprintable() or char in ' "<>\\^`{|}' for char in url):
        raise _no_address("Spaces and signs outside ASCII are written %XX, and there is no #.")
    return host_of(parts.hostname, "url"), port or _PORTS[parts.scheme]


def title(tool: Tool, given: dict[str, Any]) -> str:
    """What would be done, in one sentence for whoever decides."""
    if outside.is_outside(tool.name):
        return f"Use {tool.title}"
    about = next((str(given[name]) for name in ("command", "url", "host", "path", "directory") if given.get(name)), "")
    if not about and given.get("argv"):
        about = processes.command_of(given)
    return f"{tool.title}: {about}"[:200] if about else tool.title


def host_of(name: str, field: str) -> str:
    """The canonical name. Invalid for an address or what is no name."""
    try:
        return hosts.canonical(name)
    except Invalid as error:
        raise Invalid(error.message, field=field, reason="invalid_arguments", action=error.action) from error


def _no_address(why: str) -> Invalid:
    return Invalid(f"This address cannot be used. {why}", field="url", reason="invalid_arguments")
