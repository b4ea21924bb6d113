"""Write egress decisions in batches, and forget them when they are old, or an agent has made too many."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Max, QuerySet
from django.utils import timezone

from agents.models import Agent
from sandboxes.egress.proxy import Decision
from sandboxes.models import EgressDecision

# As the columns are.
_LONGEST = {"binary": 300, "rule": 200, "reason": 400, "host": 253, "address": 45}
AFTERWARDS = ["allowed", "rule", "reason", "sent", "received", "duration_ms"]
SWEPT = 5_000
# Some 400 MB. Without a limit an agent could fill the disk by asking.
MOST_PER_AGENT = 1_000_000


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
        newest.values(), update_conflicts=True, unique_fields=["id"], update_fields=AFTERWARDS
    )


def sweep() -> int:
    """Delete decisions older than LOGOS_EGRESS_DAYS, and the oldest of an agent that has more than it may, some at a
    time; how many."""
    before = timezone.now() - timedelta(days=settings.LOGOS_EGRESS_DAYS)
    count = _delete(EgressDecision.objects.filter(at__lt=before).order_by("at"), SWEPT)
    return count or _beyond()


def _beyond() -> int:
    counted = EgressDecision.objects.order_by().values_list("agent").annotate(count=Count("pk"))
    return sum(
        _oldest(agent_id, count - MOST_PER_AGENT) for agent_id, count in counted.filter(count__gt=MOST_PER_AGENT)
    )


def _oldest(agent_id: str, number: int) -> int:
    """Delete so many, but not the last one of each rule: a rule that was needed must not come to look unused."""
    rows = EgressDecision.objects.filter(agent=agent_id).order_by()
    last = rows.values("rule").annotate(last=Max("pk")).values_list("last", flat=True)
    return _delete(rows.exclude(pk__in=list(last)).order_by("pk"), min(number, SWEPT))


def _delete(rows: QuerySet[EgressDecision], most: int) -> int:
    found = list(rows.values_list("pk", flat=True)[:most])
    return EgressDecision.objects.filter(pk__in=found).delete()[0] if found else 0


def columns(decision: Decision, at: datetime) -> dict[str, Any]:
    """What every record of a connection holds, as long as its columns take it."""
    texts = {name: getattr(decision, name).replace("\0", "")[:longest] for name, longest in _LONGEST.items()}
    return {
        "id": decision.id,
        "sha256": decision.sha256,
        "port": decision.port,
        "method": decision.method[:20],
        "allowed": decision.allowed,
        "sent": decision.sent,
        "received": decision.received,
        "duration_ms": decision.duration_ms if decision.is_over else None,
        "at": at,
        **texts,
    }


def _row(noted: Noted) -> EgressDecision:
    return EgressDecision(agent_id=noted.agent_id, run_id=noted.run_id, **columns(noted.decision, noted.at))
