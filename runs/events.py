"""Events of runs: the frozen value, the digest chain, storing in batches, replaying and verifying.

Rows are the truth. A row's digest covers its run, number, kind, time and data, and the digest before it;
changing, dropping, adding or moving a row makes every later digest wrong.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from agents import secrets
from runs.models import Run, RunEvent
from runs.stamp import canonical

GENESIS = "0" * 64

# A payload above this is cut before it is stored; the runtime itself cuts tool output near 50,000.
MAX_DATA_CHARS = 64_000


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened in a run."""

    run_id: str
    seq: int
    kind: str
    data: dict[str, Any]
    at: datetime

    def frame(self) -> bytes:
        """The event as one server-sent event for API clients; ``id`` is what ``Last-Event-ID`` names."""
        body = json.dumps(
            {"seq": self.seq, "kind": self.kind, "at": self.at.isoformat(), "data": self.data}, ensure_ascii=False
        )
        return f"id: {self.seq}\nevent: {self.kind}\ndata: {body}\n\n".encode()


def now() -> datetime:
    return datetime.now(UTC)


def digest_of(event: Event, previous: str) -> str:
    """The chained SHA-256 of an event."""
    body = {"run": event.run_id, "seq": event.seq, "kind": event.kind, "at": event.at.isoformat(), "data": event.data}
    return hashlib.sha256(previous.encode() + canonical(body)).hexdigest()


def redacted(data: dict[str, Any]) -> dict[str, Any]:
    """``data`` with secrets masked, NUL bytes dropped (PostgreSQL refuses them) and endless strings cut."""
    return {key: _clean(value) for key, value in data.items()}


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        text = secrets.redact(value.replace("\x00", "").encode("utf-8", "replace").decode())
        return text if len(text) <= MAX_DATA_CHARS else text[:MAX_DATA_CHARS] + "\n… cut"
    if isinstance(value, dict):
        return {str(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value


def store(events: list[Event], heads: dict[str, str]) -> dict[str, str]:
    """Write a batch in one transaction and return the new last digest of each run in it.

    ``heads`` holds the last digest per run where known; the others are read. Events of one run must
    come in order. Raises what the database raises: then nothing of the batch was written.
    """
    heads = dict(heads)
    rows = []
    for event in events:
        previous = heads.get(event.run_id) or head(event.run_id)
        digest = digest_of(event, previous)
        rows.append(
            RunEvent(
                run_id=event.run_id,
                seq=event.seq,
                kind=event.kind,
                data=event.data,
                at=event.at,
                previous=previous,
                digest=digest,
            )
        )
        heads[event.run_id] = digest
    with transaction.atomic():
        RunEvent.objects.bulk_create(rows, batch_size=500)
    return {event.run_id: heads[event.run_id] for event in events}


def head(run_id: str) -> str:
    """The last stored digest of a run."""
    return RunEvent.objects.filter(run_id=run_id).order_by("-seq").values_list("digest", flat=True).first() or GENESIS


def last_seq(run_id: str) -> int:
    """The last stored number of a run; 0 when there is none."""
    return RunEvent.objects.filter(run_id=run_id).order_by("-seq").values_list("seq", flat=True).first() or 0


def replay(run_id: str, after: int = 0, limit: int | None = None) -> list[Event]:
    """The stored events of a run after ``after``, in order."""
    rows = RunEvent.objects.filter(run_id=run_id, seq__gt=after).order_by("seq")
    return list(from_rows(rows[:limit] if limit else rows))


def from_rows(rows: Iterable[RunEvent]) -> Iterator[Event]:
    """Rows as values."""
    for row in rows:
        yield Event(row.run_id, row.seq, row.kind, row.data, row.at)


def verify(run: Run) -> str:
    """ "" when the chain of a run holds, else one sentence that names the first event that does not fit."""
    previous = GENESIS
    for row in run.events.order_by("seq"):
        event = Event(row.run_id, row.seq, row.kind, row.data, row.at)
        if row.previous != previous or row.digest != digest_of(event, previous):
            return f"Event {row.seq} ({row.kind}) does not match the record before it."
        previous = row.digest
    return ""
