"""Runs as a file for a spreadsheet or a program: what each was, what came of it and what it cost; nothing that was said."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

from runs.models import Run
from runs.words import STATES

COLUMNS = (
    *("id", "state", "agent", "agent_id", "person", "conversation_id", "error_code", "model_calls", "tool_calls"),
    *("input_tokens", "output_tokens", "cost_usd", "cost_is_partial", "duration_ms", "fingerprint"),
    *("created_at", "started_at", "finished_at"),
)
# A spreadsheet takes what begins like this for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def row_of(run: Run) -> dict[str, Any]:
    """One run, ``agent`` and ``actor`` read with it."""
    times = {name: getattr(run, name) for name in ("created_at", "started_at", "finished_at")}
    return {
        "id": run.pk,
        "state": STATES.get(run.status, run.status),
        "agent": run.agent.name,
        "agent_id": run.agent_id,
        "person": run.actor.username if run.actor else None,
        "conversation_id": run.conversation_id,
        "error_code": run.error_code or None,
        "model_calls": run.model_calls,
        "tool_calls": run.tool_calls,
        "input_tokens": run.input_tokens,
        "output_tokens": run.output_tokens,
        "cost_usd": None if run.cost is None else str(run.cost),
        "cost_is_partial": run.cost_is_partial,
        "duration_ms": run.duration_ms,
        "fingerprint": run.fingerprint,
        **{name: at.isoformat() if at else None for name, at in times.items()},
    }


def as_json(runs: Iterable[Run]) -> str:
    """A list of objects."""
    return json.dumps([row_of(run) for run in runs], indent=2, ensure_ascii=False)


def as_csv(runs: Iterable[Run]) -> str:
    """A table with a heading; no cell of it is a formula."""
    out = io.StringIO()
    table = csv.DictWriter(out, COLUMNS)
    table.writeheader()
    for run in runs:
        table.writerow({name: _cell(value) for name, value in row_of(run).items()})
    return out.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
