"""The five dimensions of a run as one frozen value: composed at the start, fingerprinted, compared later.

Pure: values in, values out. Canonical JSON (sorted keys, no blanks, UTF-8) and SHA-256, so that the same
composition has the same fingerprint on every machine.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

VERSION = 3


@dataclass(frozen=True, slots=True)
class SoulPart:
    id: str
    name: str
    revision: int
    sha256: str
    documents: tuple[str, ...] = ()  # "path sha256" of what configuration installs


@dataclass(frozen=True, slots=True)
class ToolsPart:
    toolsets: tuple[str, ...]
    capabilities: tuple[str, ...] = ()  # "key@version" of what was agreed to


@dataclass(frozen=True, slots=True)
class RuntimePart:
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class ModelPart:
    route_id: str
    provider: str
    kind: str
    model: str
    context_length: int | None


@dataclass(frozen=True, slots=True)
class PermissionsPart:
    driver: str
    hosts: tuple[str, ...]
    approvals: str
    secrets: tuple[str, ...] = ()  # the names of what was given, and nothing about the values
    rules: tuple[dict[str, Any], ...] = ()  # what may be reached, each with the policy or capability it stands in


@dataclass(frozen=True, slots=True)
class Stamp:
    """Soul, Tools, Agent runtime, Model, Permissions: what an agent was when a run started."""

    agent_id: str
    agent_name: str
    soul: SoulPart
    tools: ToolsPart
    runtime: RuntimePart
    model: ModelPart
    permissions: PermissionsPart

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, with the version of this shape."""
        return {"version": VERSION, **json.loads(json.dumps(asdict(self)))}


def canonical(value: Any) -> bytes:
    """The one byte string of a JSON value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def fingerprint(stamp: dict[str, Any]) -> str:
    """64 hex digits over the five dimensions; the agent's id and name are not part of what it is."""
    dimensions = {key: value for key, value in stamp.items() if key not in {"agent_id", "agent_name"}}
    return hashlib.sha256(canonical(dimensions)).hexdigest()
