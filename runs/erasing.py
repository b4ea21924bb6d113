"""Erase what a person said and what agents did for them; state, times, tokens and cost of every run stay.

An event keeps its number, kind, time and digest and loses its content; ``events.verify`` still proves that the chain is
whole, and no longer what was said. Everything here may run any number of times.
"""

from __future__ import annotations

import time
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from agents.erasing import ERASED
from agents.errors import Conflict
from agents.models import User
from runs import dispatch, events, settling
from runs.models import (
    ACTIVE,
    Approval,
    ApprovalRule,
    Conversation,
    Message,
    ReviewerOpinion,
    ReviewerReversal,
    Run,
    RunEvent,
    Status,
)

BATCH = 500
# How long runs may take to stop before one asks again.
STOP_S = 30.0

# Words of ours that a timeline needs to be drawn; everything else may have been written by somebody.
STRUCTURE = frozenset(
    {"call_id", "id", "tool", "model", "choice", "code", "parent", "kind", "tier", "via", "severity", "why", "verdict"}
)


def erase(person: User) -> None:
    """All of it, in batches."""
    stop(person)
    while _erase_events(person):
        pass
    talks = Conversation.objects.filter(owner=person)
    talks.update(title="", opening_key=None)
    Message.objects.filter(conversation__owner=person).update(text=ERASED, idempotency_key=None)
    mine = Run.objects.filter(conversation__owner=person)
    mine.update(error_message="", error_action="")
    questions = Approval.objects.filter(Q(asked_for=person) | Q(run__conversation__owner=person))
    questions.update(subject={}, title=ERASED, purpose="", findings=[], note="", answer="", votes=[])
    Approval.objects.filter(decided_by=person).update(note="", answer="")
    ReviewerOpinion.objects.filter(approval__in=questions).update(reason="")
    wrong = Q(approval__in=questions) | Q(made_by=person) | Q(agent__owner=person)
    ReviewerReversal.objects.filter(wrong).update(words=ERASED, note="")
    named = Q(approval__in=questions) | Q(made_by=person) | Q(agent__owner=person)
    ApprovalRule.objects.filter(named).update(words=ERASED)
    for run in Run.objects.filter(agent__owner=person).exclude(stamp={}).only("pk", "stamp").iterator(chunk_size=BATCH):
        if (stamp := without_names(run.stamp)) != run.stamp:
            Run.objects.filter(pk=run.pk).update(stamp=stamp)


def stop(person: User) -> None:
    """End what runs for them or in their agents; Conflict when something still runs after a while."""
    active = Run.objects.filter(Q(conversation__owner=person) | Q(agent__owner=person), status__in=ACTIVE)
    active.filter(cancel_requested_at=None).update(cancel_requested_at=timezone.now())
    for run_id in active.values_list("pk", flat=True):
        dispatch.announce(run_id)
    until = time.monotonic() + STOP_S
    while True:
        # What no engine has taken up has nothing that could end it.
        for run_id in active.filter(lease_owner="").values_list("pk", flat=True):
            _end(run_id)
        if not active.exists():
            return
        if time.monotonic() > until:
            raise Conflict("A run is still ending.", reason="busy", action="Erase again in a minute.")
        time.sleep(0.2)


def scrubbed(data: dict[str, Any]) -> dict[str, Any]:
    """An event's data in the same shape, without anything somebody wrote."""
    return {name: _without_words(name, value) for name, value in data.items()}


def without_names(stamp: dict[str, Any]) -> dict[str, Any]:
    """A STAMP without the names its owner gave; ids and the fingerprint still say what is the same."""
    soul = stamp.get("soul")
    named = {"agent_name": ERASED} if "agent_name" in stamp else {}
    return {**stamp, **named, **({"soul": {**soul, "name": ERASED}} if isinstance(soul, dict) else {})}


def _without_words(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value if name in STRUCTURE and len(value) <= 80 else ERASED
    if name == "usage" and isinstance(value, dict):
        return {key: item for key, item in value.items() if not isinstance(item, str | dict | list)}
    return {} if isinstance(value, dict) else []


@transaction.atomic
def _erase_events(person: User) -> int:
    rows = list(RunEvent.objects.filter(run__conversation__owner=person, erased="").order_by("pk")[:BATCH])
    for row in rows:
        row.data, row.erased = scrubbed(row.data), events.erased_digest_of(row)
    RunEvent.objects.bulk_update(rows, ["data", "erased"], batch_size=100)
    return len(rows)


def _end(run_id: str) -> None:
    outcome = settling.Outcome(Status.CANCELLED)
    last = events.Event(run_id, events.last_seq(run_id) + 1, outcome.kind, outcome.data(), events.now())
    settling.settle(outcome, last, None)
