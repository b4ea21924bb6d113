"""What happened in one call, and the rows of it, written in batches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from django.utils import timezone

from agents.secrets import redact
from mcp_gateway import ids

Done = Literal["ok", "error", "denied", "held", "unavailable", "timeout", "gone", "cancelled"]


@dataclass(frozen=True, slots=True)
class Record:
    """One call that ended; ``arguments`` are hashed, never kept."""

    agent_id: str
    server_id: str
    server: str
    method: str
    tool: str
    outcome: Done
    reason: str = ""
    duration_ms: float = 0.0
    arguments: Any = None
    via: str = "token"
    sandbox_id: str = ""
    run_id: str = ""
    at: datetime = field(default_factory=timezone.now)
    # Given here, so that what is written again after an interruption is written once.
    id: str = field(default_factory=ids.call_id)


def fingerprint(arguments: Any) -> str:
    """Tells whether two calls had the same arguments, and nothing else of them."""
    if arguments is None:
        return ""
    canonical = json.dumps(arguments, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def store(records: Sequence[Record]) -> None:
    """Write them down; those of agents and servers that are gone meanwhile keep the names they had."""
    from agents.models import Agent
    from mcp_gateway.models import McpCall, McpServer

    agents = set(Agent.objects.filter(pk__in={each.agent_id for each in records}).values_list("pk", flat=True))
    servers = set(McpServer.objects.filter(pk__in={each.server_id for each in records}).values_list("pk", flat=True))
    rows = (
        McpCall(
            id=each.id,
            agent_id=each.agent_id,
            server_id=each.server_id if each.server_id in servers else None,
            server_name=_storable(each.server, 80),
            method=each.method[:40],
            tool=_storable(each.tool, 128),
            outcome=each.outcome,
            reason=_storable(redact(each.reason), 300),
            duration_ms=round(each.duration_ms, 2),
            arguments_digest=fingerprint(each.arguments),
            via=each.via,
            run_id=each.run_id,
            at=each.at,
        )
        for each in records
        if each.agent_id in agents
    )
    McpCall.objects.bulk_create(rows, ignore_conflicts=True)


def _storable(text: str, longest: int) -> str:
    return text.replace("\x00", "").encode("utf-8", "replace").decode()[:longest]
