"""A small catalogue of known MCP servers, as data: each is what the form would be given, to be looked at before it is added."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from agents import permissions
from agents.errors import Invalid, NotFound
from agents.models import User
from agents.presets import loads
from mcp_gateway import servers
from mcp_gateway.models import McpServer, ServerKind

FILE = Path(__file__).with_name("catalogue.yaml")
_WORDS = ("name", "title", "does", "homepage")
_MORE = ("adapt", "needs")


@dataclass(frozen=True, slots=True)
class Needed:
    """A secret that the server names: what it is."""

    name: str
    what: str


@dataclass(frozen=True, slots=True)
class Known:
    """One server of the catalogue. ``server`` holds the fields it is added with; ``adapt`` says what people change of them
    first, ``needs`` what must be on this machine."""

    name: str
    title: str
    does: str
    homepage: str
    server: dict[str, Any]
    secrets: tuple[Needed, ...] = ()
    adapt: str = ""
    needs: str = ""
    fields: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def is_program(self) -> bool:
        return bool(self.fields["kind"] == ServerKind.STDIO)


@cache
def every() -> tuple[Known, ...]:
    """All of them, by name. Raises Invalid for a file that says anything we do not read."""
    found = [_read(entry) for entry in loads(FILE.read_text(encoding="utf-8"))]
    return tuple(sorted(found, key=lambda each: each.title.casefold()))


def get(name: str) -> Known:
    """The one of this name; NotFound when there is none."""
    for each in every():
        if each.name == name:
            return each
    raise NotFound("A server of this name in the catalogue")


def offered(user: User) -> list[tuple[Known, McpServer | None, bool]]:
    """Each with the server of its name that this person sees, if there is one, and whether they may add it."""
    permissions.require(user, "server.create")
    seen = permissions.visible(user, McpServer.objects.filter(name__in=[each.name for each in every()]))
    here = {row.name: row for row in seen}
    may_launch = permissions.may(user, "server.launch")
    return [(each, here.get(each.name), may_launch or not each.is_program) for each in every()]


def _read(entry: Any) -> Known:
    known = {*_WORDS, *_MORE, "server", "secrets"}
    if not isinstance(entry, dict) or set(entry) - known or not all(entry.get(word) for word in (*_WORDS, "server")):
        raise Invalid(f"An entry of the catalogue says exactly: {', '.join(sorted(known))}.")
    told = {"kind": ServerKind.STDIO, **entry["server"], "name": entry["name"], "description": entry["does"]}
    fields = servers.check(told)
    servers.check_whole(McpServer(**fields))
    secrets = tuple(Needed(**each) for each in entry.get("secrets", ()))
    words = {word: entry.get(word, "") for word in (*_WORDS, *_MORE)}
    return Known(**words, server=entry["server"], secrets=secrets, fields=fields)
