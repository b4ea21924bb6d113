"""Write finished model calls to the database: the writer the meter is given."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from typing import Any

from asgiref.sync import sync_to_async

from sandboxes.inference.calls import CallRecord
from sandboxes.models import InferenceCall, Sandbox

_LONGEST = {"error_message": 500, "model": 200}  # as the columns are
_LARGEST_COUNT = 2_147_483_647  # a provider's figure is a stranger's: the column must hold it
_COST_STEP, _COST_LIMIT = Decimal("0.00000001"), Decimal(1_000_000)


async def write_rows(records: list[CallRecord]) -> None:
    """Store the records; ids that are stored already are left as they are, so writing twice is harmless."""
    await sync_to_async(store)(records)


def store(records: list[CallRecord]) -> None:
    """The same, for callers that are not on an event loop."""
    # A sandbox may have been deleted while its last call ran; the call still counts.
    known = set(Sandbox.objects.filter(pk__in={each.sandbox_id for each in records}).values_list("pk", flat=True))
    InferenceCall.objects.bulk_create([_row(record, known) for record in records], ignore_conflicts=True)


def _row(record: CallRecord, known_sandboxes: set[str]) -> InferenceCall:
    values: dict[str, Any] = asdict(record)
    del values["is_estimate"], values["error_action"]
    if record.sandbox_id not in known_sandboxes:
        values["sandbox_id"] = None
    for name, longest in _LONGEST.items():
        values[name] = values[name].replace("\0", "")[:longest]
    for name in ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"):
        if values[name] is not None:
            values[name] = min(values[name], _LARGEST_COUNT)
    if record.cost is not None:
        # Beyond what the column holds is no price anybody pays: unknown is more honest than a cut figure.
        values["cost"] = record.cost.quantize(_COST_STEP) if record.cost < _COST_LIMIT else None
    return InferenceCall(**values)
