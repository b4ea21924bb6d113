"""Events of runs: the frozen value, the digest chain, storing in batches, replaying and verifying.

Rows are the truth. A row's digest covers its run, number, kind, time and data, and the digest before it;
changing, dropping, adding or moving a row makes every later digest wrong.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from agents import secrets
from runs.models import Run, RunEvent
from runs.stamp import canonical

GENESIS = "0" * 64

# What else must not be in a record: the forms of an agent's secrets.
Known = frozenset[str]

# What is longer is cut before it is stored; the runtime itself cuts tool output near 50,000.
MAX_DATA_CHARS = 64_000
MAX_EVENT_CHARS = 128_000
# SQLite reads JSON to a depth of 1,000, Python's own recursion ends sooner.
MAX_DEPTH = 32
CUT = "\n… cut"

# The event that ends a run, and the status it leaves the run in.
ENDS = {
    "run.completed": "completed",
    "run.failed": "failed",
    "run.cancelled": "cancelled",
    "run.interrupted": "interrupted",
}


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


def erased_digest_of(row: RunEvent) -> str:
    """What binds an erased event's kind, place and time to the digest that covered its content."""
    body = {"run": row.run_id, "seq": row.seq, "kind": row.kind, "at": row.at.isoformat(), "digest": row.digest}
    return hashlib.sha256(canonical(body)).hexdigest()


def redacted(data: dict[str, Any], known: Known = frozenset()) -> dict[str, Any]:
    """``data`` as any database takes it: secrets masked (``known`` ones and what is shaped like one), NUL bytes and halves of surrogate pairs gone, numbers
    that JSON does not know as text, and what is endless (strings, lists, nesting) cut."""
    room = _Room(MAX_EVENT_CHARS, known)
    return {storable(str(key), known): _clean(value, room, 0) for key, value in data.items()}


def storable(text: str, known: Known = frozenset()) -> str:
    """``plain`` text, cut at ``MAX_DATA_CHARS`` and never inside a secret."""
    if len(text) <= MAX_DATA_CHARS:
        return plain(text, known)
    text = text[:MAX_DATA_CHARS]
    return plain(text[: secrets.settled(text, known)], known) + CUT


def plain(text: str, known: Known = frozenset()) -> str:
    """``text`` with secrets masked and without what PostgreSQL or UTF-8 refuse."""
    return secrets.redact(unbroken(text), known)


def unbroken(text: str) -> str:
    """``text`` without NUL bytes and halves of surrogate pairs."""
    if "\x00" in text:
        text = text.replace("\x00", "")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


class _Room:
    """How many characters an event may still take, and which secrets must not be among them."""

    __slots__ = ("known", "left")

    def __init__(self, left: int, known: Known) -> None:
        self.left, self.known = left, known


def _clean(value: Any, room: _Room, depth: int) -> Any:
    if isinstance(value, str):
        text = storable(value, room.known) if room.left > 0 else CUT
        room.left -= len(text)
        return text
    room.left -= 8
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _number(value)
    if depth >= MAX_DEPTH or room.left <= 0:
        return CUT
    if isinstance(value, dict):
        pairs = itertools.takewhile(lambda _: room.left > 0, value.items())
        return {storable(str(key), room.known): _clean(item, room, depth + 1) for key, item in pairs}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item, room, depth + 1) for item in itertools.takewhile(lambda _: room.left > 0, value)]
    return storable(str(value), room.known)


def _number(value: int | float) -> int | float | str:
    if isinstance(value, float):
        # PostgreSQL gives a large whole number back as an integer and minus nothing as nothing: the digest of
        # either would not hold.
        return (value or 0.0) if math.isfinite(value) and abs(value) < 2**53 else str(value)
    return value if abs(value) < 2**63 else f"{value:#x}"


def store(events: list[Event], heads: dict[str, str]) -> dict[str, str]:
    """Write a batch in one transaction and return the new last digest of each run in it.

    ``heads`` holds the last digest per run where known; the others are read. Events of one run must
    come in order. Raises what the database raises: then nothing of the batch was written.
    """
    heads = dict(heads)
    chained = []
    for event in events:
        previous = heads.get(event.run_id) or head(event.run_id)
        heads[event.run_id] = digest_of(event, previous)
        chained.append((event, previous, heads[event.run_id]))
    _insert(chained)
    return {event.run_id: heads[event.run_id] for event in events}


def _insert(chained: list[tuple[Event, str, str]]) -> None:
    """One statement for all. To make a model's instance of each would cost more than to store it."""
    database = connections[DEFAULT_DB_ALIAS]  # itself, not the proxy that looks for it at every touch
    fields = {field.attname: field for field in RunEvent._meta.concrete_fields if not field.primary_key}
    data, at, quote = fields["data"], fields["at"], database.ops.quote_name
    rows = [
        {
            "run_id": event.run_id,
            "seq": event.seq,
            "kind": event.kind,
            "data": data.get_db_prep_save(event.data, database),
            "at": at.get_db_prep_save(event.at, database),
            "previous": previous,
            "digest": digest,
            "erased": "",
        }
        for event, previous, digest in chained
    ]
    columns = ", ".join(quote(str(field.column)) for field in fields.values())
    places = ", ".join(["%s"] * len(fields))
    sql = f"INSERT INTO {quote(RunEvent._meta.db_table)} ({columns}) VALUES ({places})"  # noqa: S608
    with transaction.atomic(), database.cursor() as cursor:
        cursor.executemany(sql, [tuple(row[name] for name in fields) for row in rows])


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


def has_ended(run_id: str, seq: int) -> bool:
    """Is the event that ends the run among those up to ``seq``?"""
    return RunEvent.objects.filter(run_id=run_id, seq__lte=seq, kind__in=ENDS).exists()


def verify(run: Run) -> str:
    """ "" when the chain of a run holds, else one sentence that names the first event that does not fit."""
    previous, kind = GENESIS, ""
    for row in run.events.order_by("seq").iterator():
        event = Event(row.run_id, row.seq, row.kind, row.data, row.at)
        # The content of an erased event cannot be proved any more; that it was there, when, and in this place, can.
        fits = row.erased == erased_digest_of(row) if row.erased else row.digest == digest_of(event, previous)
        if row.previous != previous or not fits:
            return f"Event {row.seq} ({row.kind}) does not match the record before it."
        previous, kind = row.digest, row.kind
    if run.has_finished and ENDS.get(kind) != run.status:
        return f"The record does not end with the event that left this run {run.get_status_display().lower()}."
    return ""
