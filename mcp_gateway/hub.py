"""The names under which one endpoint offers the tools of many servers: ``server__tool``, reversible (pure)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

# Model providers take 64 characters as the name of a tool, and a client may put the name of this server in front.
LONGEST = 50
_FOREIGN = re.compile(r"[^A-Za-z0-9_-]")
SEPARATOR = "__"


@dataclass(frozen=True, slots=True)
class Place:
    """Which tool of which server a name stands for."""

    server: str
    tool: str


@dataclass(slots=True)
class Names:
    """What an agent's hub offers, and what it cannot because two tools would have one name."""

    tools: list[dict[str, Any]] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)
    refused: list[Place] = field(default_factory=list)


def name_of(server: str, tool: str) -> str:
    """The tool's name in the hub. One with other characters, or too long, ends in a part of its digest: names that
    differ only there stay different."""
    plain = _FOREIGN.sub("_", tool)
    name = f"{server}{SEPARATOR}{plain}"
    if plain == tool and len(name) <= LONGEST:
        return name
    mark = hashlib.sha256(f"{server}\0{tool}".encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{name[: LONGEST - 9]}_{mark}"


def names(servers: Mapping[str, Iterable[dict[str, Any]]], taken: Iterable[str] = ()) -> Names:
    """The tools of all these servers by their names in the hub. The first of two that would be called alike stays."""
    found, used = Names(), set(taken)
    for server, tools in servers.items():
        for tool in tools:
            name, place = name_of(server, tool["name"]), Place(server, tool["name"])
            if name in used:
                found.refused.append(place)
                continue
            used.add(name)
            found.places[name] = place
            found.tools.append({**tool, "name": name})
    return found
