"""What a run's STAMP recorded, beside what the configuration was when the run began."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agents.models import User
from agents.past.asof import NOT_OPEN, Composed, composed
from runs import withheld
from runs.models import Run


@dataclass(frozen=True, slots=True)
class Dimension:
    """One of the five: recorded and then, in words. ``same`` is None when there is nothing to compare."""

    name: str
    recorded: str
    then: str
    same: bool | None


def dimensions(user: User, run: Run) -> list[Dimension]:
    """The five dimensions of a run that ``user`` may see. What the STAMP recorded is told as everywhere
    (``runs.withheld``); what the rows were only to those who may read their past."""
    stamp, was = withheld.told(user, run.stamp), composed(user, run.agent_id, run.created_at) or Composed()
    soul, model = stamp.get("soul") or {}, stamp.get("model") or {}
    runtime, rules = stamp.get("runtime") or {}, stamp.get("permissions") or {}
    tools, hosts = (stamp.get("tools") or {}).get("toolsets") or [], rules.get("hosts") or []
    return [
        _dimension(
            "Soul",
            _soul(soul.get("name", ""), soul.get("revision", 0)),
            _soul(was.soul, was.revision) if was.soul else "",
            (soul.get("revision"), soul.get("sha256")) == (was.revision, was.sha256),
        ),
        _dimension("Tools", _list(tools), None if was.tools is None else _list(was.tools), tuple(tools) == was.tools),
        _dimension(
            "Agent runtime",
            f"{runtime.get('name', '')} {runtime.get('version', '')}".strip(),
            was.runtime,
            runtime.get("name") == was.runtime,
        ),
        _dimension(
            "Model",
            _model(model.get("provider", ""), model.get("model", "")),
            _model(was.provider, was.model) if was.model else "",
            (model.get("provider"), model.get("model")) == (was.provider, was.model),
        ),
        _dimension(
            "Permissions", _hosts(hosts), None if was.hosts is None else _hosts(was.hosts), tuple(hosts) == was.hosts
        ),
    ]


def _dimension(name: str, recorded: str, then: str | None, same: bool) -> Dimension:
    return Dimension(name, recorded, then or NOT_OPEN, same if then else None)


def _soul(name: str, revision: int) -> str:
    return f"{name}, revision {revision}"


def _model(provider: str, model: str) -> str:
    return f"{model} of {provider}" if provider else model


def _list(names: Any) -> str:
    return ", ".join(names) or "none"


def _hosts(hosts: Any) -> str:
    return ", ".join(hosts) or "no hosts"
