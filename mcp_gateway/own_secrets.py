"""The secrets agents have of their own, to be hidden in what servers tell them: opened once for each new value."""

from __future__ import annotations

from collections.abc import Iterable

from agents import secrets
from agents.errors import LogosError
from agents.models import AgentSecret
from mcp_gateway.blotting import Blot, blot

_Mark = tuple[tuple[str, int], ...]
_known: dict[str, tuple[_Mark, Blot | None]] = {}


def blots(agent_ids: Iterable[str]) -> dict[str, Blot]:
    """By agent, for those that have secrets. Whole function with the database."""
    wanted = set(agent_ids)
    marks: dict[str, list[tuple[str, int, str]]] = {}
    rows = AgentSecret.objects.filter(agent__in=wanted).order_by("pk")
    for agent_id, pk, version, sealed in rows.values_list("agent_id", "pk", "version", "sealed"):
        marks.setdefault(agent_id, []).append((pk, version, sealed))
    for gone in _known.keys() - marks.keys():
        _known.pop(gone, None)
    found = {}
    for agent_id, held in marks.items():
        mark = tuple((pk, version) for pk, version, _ in held)
        if agent_id not in _known or _known[agent_id][0] != mark:
            _known[agent_id] = (mark, blot(_opened(sealed for _, _, sealed in held)))
        if (one := _known[agent_id][1]) is not None:
            found[agent_id] = one
    return found


def _opened(sealed: Iterable[str]) -> list[str]:
    """Their values; one that no key opens any more is known to nobody, the agent included."""
    found = []
    for each in sealed:
        try:
            found.append(secrets.unseal(each))
        except LogosError:
            continue
    return found
