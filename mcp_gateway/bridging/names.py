"""Names of tools as picky clients want them, and back: dots and whatever else becomes an underscore (pure)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

# What model providers, and so many clients, take as the name of a tool.
LONGEST = 64
_FOREIGN = re.compile(r"[^A-Za-z0-9_-]")


class Names:
    """What the gateway calls its tools, and what the client was told."""

    def __init__(self) -> None:
        self._real: dict[str, str] = {}
        self._schemas: dict[str, Any] = {}

    def learn(self, tools: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """These tools, and no others, under names every client takes. A name that fits is kept, whoever comes first."""
        found = [dict(tool) for tool in tools if isinstance(tool, Mapping) and isinstance(tool.get("name"), str)]
        taken = {tool["name"] for tool in found if fits(tool["name"])}
        self._real, self._schemas = {}, {}
        for tool in found:
            real = tool["name"]
            tool["name"] = real if real in taken else _spelled(real, taken | self._real.keys())
            self._real[tool["name"]] = real
            self._schemas[real] = tool.get("inputSchema")
        return found

    def real(self, given: str) -> str | None:
        """The gateway's name of what a client calls ``given``, with dots or with underscores; None: not learnt."""
        if given in self._real:
            return self._real[given]
        if given in self._schemas:
            return given
        for spelled in (given.replace(".", "_"), given.replace(".", "__", 1).replace(".", "_")):
            if spelled in self._real:
                return self._real[spelled]
        return None

    def schema(self, real: str) -> Any:
        """The input schema of a tool by its own name."""
        return self._schemas.get(real)


def fits(name: str) -> bool:
    """Does every client take this name as it is?"""
    return 0 < len(name) <= LONGEST and _FOREIGN.search(name) is None


def _spelled(real: str, taken: Iterable[str]) -> str:
    plain = _FOREIGN.sub("_", real) or "_"
    if len(plain) <= LONGEST and plain not in taken:
        return plain
    mark = hashlib.sha256(real.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain[: LONGEST - 9]}_{mark}"
