"""Write egress decisions in batches, and forget them when they are old."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from agents.models import Agent
from sandboxes.egress.proxy import Decision
from sandboxes.models import EgressDecision

# As the columns are.
_LONGEST = {"binary": 300, "rule": 200, "reason": 400, "host": 253, "address": 45}
_AFTERWARDS = ["allowed", "rule", "reason", "sent", "received", "duration_ms"]
SWEPT = 5_000


@dataclass(frozen=True, slots=True)
class Noted:
    """A decision, whose it is, and the run it belongs to when that is certain."""

    agent_id: str
    run_id: str
    decision: Decision
    at: datetime


def store(noted: list[Noted]) -> None:
    """Insert what is new, complete what is over by now. Writing twice is harmless."""
    known = set(Agent.objects.filter(pk__in={each.agent_id for each in noted}).values_list("pk", flat=True))
    newest: dict[str, EgressDecision] = {}
    for each in noted:
        if each.agent_id not in known:
            continue
        row = _row(each)
        if (before := newest.get(row.pk)) is not None:
            row.at = before.at
        newest[row.pk] = row
    EgressDecision.objects.bulk_create(
        newest.values(), update_conflicts=True, unique_fields=["id"], update_fields=_AFTERWARDS
    )


def sweep() -> int:
    """Delete decisions older than LOGOS_EGRESS_DAYS, some at a time; how many."""
    before = timezone.now() - timedelta(days=settings.LOGOS_EGRESS_DAYS)
    old = list(EgressDecision.objects.filter(at__lt=before).order_by("at").values_list("pk", flat=True)[:SWEPT])
    return EgressDecision.objects.filter(pk__in=old).delete()[0] if old else 0


def _row(noted: Noted) -> EgressDecision:
    each = noted.decision
    texts = {name: getattr(each, name).replace("\0", "")[:longest] for name, longest in _LONGEST.items()}
    return EgressDecision(
        id=each.id,
        agent_id=noted.agent_id,
        run_id=noted.run_id,
        sha256=each.sha256,
        port=each.port,
        method=each.method[:20],
        allowed=each.allowed,
        sent=each.sent,
        received=each.received,
        duration_ms=each.duration_ms if each.is_over else None,
        at=noted.at,
        **texts,
    )
