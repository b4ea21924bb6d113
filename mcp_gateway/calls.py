"""What happened in one call, and the rows of it, written in batches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from django.db import connection
from django.utils import timezone

from agents.secrets import redact
from mcp_gateway import ids

Done = Literal["started", "ok", "error", "denied", "held", "unavailable", "timeout", "gone", "cancelled"]


@dataclass(frozen=True, slots=True)
class Record:
    """One call that ended, or is about to be made; ``arguments`` are hashed, never kept."""

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
    # Of the arguments, where they are not known any more.
    digest: str = ""
    # What the rules said of it; nothing where none was asked.
    decision: str = ""
    argument_bytes: int = 0
    result_bytes: int = 0
    # Given here, so that what is written again after an interruption is written once.
    id: str = field(default_factory=ids.call_id)


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def fingerprint(arguments: Any) -> str:
    """Tells whether two calls had the same arguments, and nothing else of them."""
    if arguments is None:
        return ""
    return hashlib.sha256(_canonical(arguments).encode()).hexdigest()


# What is not known when a call begins.
LATER = ["outcome", "reason", "duration_ms", "result_bytes"]
INTERRUPTED = "Logos ended while it went on. Whether it had an effect is not known."


def begin(records: Sequence[Record]) -> None:
    """Rows of calls that go on; one that has ended by now is left as it is."""
    from mcp_gateway import call_rows

    call_rows.add(_rows(records))


def store(records: Sequence[Record]) -> None:
    """Write down what they came to; the row of one that was begun says so from now on."""
    from mcp_gateway import call_rows

    call_rows.put(_rows(records), LATER)


def interrupted(records: Sequence[Record] | None = None) -> int:
    """Nobody makes these calls any more (None: those whose rows say that they go on): how they ended is not known."""
    from mcp_gateway.models import McpCall

    rows = McpCall.objects.filter(outcome="started")
    if records is None:
        return rows.update(outcome="unknown", reason=INTERRUPTED)
    found = 0
    for at in range(0, len(records), 500):
        part = records[at : at + 500]
        begin(part)
        found += rows.filter(pk__in=[each.id for each in part]).update(outcome="unknown", reason=INTERRUPTED)
    return found


def _rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """By the names of columns; those of agents and servers that are gone meanwhile keep the names they had."""
    from agents.models import Agent
    from mcp_gateway.models import McpServer

    agents = set(Agent.objects.filter(pk__in={each.agent_id for each in records}).values_list("pk", flat=True))
    servers = set(McpServer.objects.filter(pk__in={each.server_id for each in records}).values_list("pk", flat=True))
    moment = connection.ops.adapt_datetimefield_value
    return [
        {
            "id": each.id,
            "agent_id": each.agent_id,
            "server_id": each.server_id if each.server_id in servers else None,
            "server_name": _storable(each.server, 80),
            "method": each.method[:40],
            "tool": _storable(each.tool, 128),
            "outcome": each.outcome,
            "reason": _storable(redact(each.reason), 300) if each.reason else "",
            "duration_ms": round(each.duration_ms, 2),
            "arguments_digest": each.digest or fingerprint(each.arguments),
            "decision": each.decision,
            "argument_bytes": each.argument_bytes,
            "result_bytes": each.result_bytes,
            "via": each.via,
            "run_id": each.run_id,
            "at": moment(each.at),
        }
        for each in records
        if each.agent_id in agents
    ]


def _storable(text: str, longest: int) -> str:
    return text.replace("\x00", "").encode("utf-8", "replace").decode()[:longest]
