"""The console's front page: what ran, what it cost, what waits, what is unhealthy; every number leads to its rows.

A person's overview counts what they may see, in a fixed number of queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.db.models import CharField, Count, Min, Model, Q, Sum, Value
from django.db.models.functions import Concat
from django.utils import timezone
from django_q.models import Failure

from agents import permissions
from agents.admin_panels import changelist
from agents.admin_words import ago
from agents.models import User
from logos_site import probes
from runs.models import ACTIVE, Approval, ApprovalState, Run, Status
from runs.templatetags.run_format import money, word_for
from sandboxes.models import InferenceCall, Sandbox, State

# A run that nobody has taken for this long waits for something that does not come.
STUCK = timedelta(minutes=2)
# Ended runs first, the good ones before the others; what still goes on after them.
_ORDER = (Status.COMPLETED, Status.FAILED, Status.INTERRUPTED, Status.CANCELLED, *ACTIVE)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, what it counts, where its rows are, and how it should look: "", ok, waiting or failed."""

    text: Any
    name: str
    url: str = ""
    look: str = ""
    note: Any = ""


def overview(user: User) -> list[dict[str, Any]]:
    """The sections of the page, each with its figures."""
    now = timezone.now()
    ran = list(_ran(user, now))
    return [
        {"title": "What ran", "spans": ran},
        {"title": "What waits", "figures": list(_waits(user, now))},
        {"title": "What is unhealthy", "figures": list(_unhealthy(user, now)), "well": "Nothing is."},
        {"title": "This Logos", "figures": list(_checks())},
    ]


def rows(model: type[Model], **lookups: Any) -> str:
    """The address of the console's list of these rows."""
    return f"{changelist(model)}?{urlencode(lookups)}"


def _ran(user: User, now: datetime) -> Iterator[dict[str, Any]]:
    """For a day and a week: runs by how they ended, and what they cost."""
    day, week = now - timedelta(days=1), now - timedelta(days=7)
    unpriced = Q(cost_is_partial=True) | Q(cost=None, model_calls__gt=0)
    recent = Q(created_at__gte=day)
    seen = permissions.visible(user, Run.objects.filter(created_at__gte=week)).order_by()
    # Grouping by the bare column makes SQLite walk its index, and with it every run there ever was.
    groups = seen.annotate(state=Concat("status", Value(""), output_field=CharField())).values("state").annotate(
        week=Count("pk"), day=Count("pk", filter=recent),
        week_cost=Sum("cost"), day_cost=Sum("cost", filter=recent),
        week_unpriced=Count("pk", filter=unpriced), day_unpriced=Count("pk", filter=unpriced & recent),
    )  # fmt: skip
    by_status: dict[str, Any] = {group["state"]: group for group in groups}
    for title, since, span in (("Last 24 hours", day, "day"), ("Last 7 days", week, "week")):
        found = [by_status[status] for status in _ORDER if status in by_status]
        cost = sum((group[f"{span}_cost"] or Decimal() for group in found), Decimal())
        is_partial = any(group[f"{span}_unpriced"] for group in found)
        figures = [
            Figure(
                f"{group[span]:,}",
                word_for(group["state"]),
                rows(Run, created_at__gte=since.isoformat(), status__exact=group["state"]),
                _look(group["state"]),
            )
            for group in found
            if group[span]
        ]
        total = sum(group[span] for group in found)
        yield {
            "title": title,
            "total": Figure(
                f"{total:,}", "run" if total == 1 else "runs", rows(Run, created_at__gte=since.isoformat())
            ),
            "figures": figures,
            "cost": Figure(
                money(cost, is_partial) if total else money(Decimal()),
                "cost",
                rows(Run, created_at__gte=since.isoformat(), o="-7"),
            ),
        }


def _look(status: str) -> str:
    if status == Status.COMPLETED:
        return "ok"
    return "failed" if status in (Status.FAILED, Status.INTERRUPTED) else ""


def _waits(user: User, now: datetime) -> Iterator[Figure]:
    pending = Approval.objects.filter(state=ApprovalState.PENDING, expires_at__gt=now)
    asked = permissions.visible(user, pending).aggregate(number=Count("pk"), oldest=Min("created_at"))
    # Few at any time: one a conversation at most, and counting them in SQL reads more than they are.
    active = list(permissions.visible(user, Run.objects.active()).order_by().values_list("status", "created_at"))
    queued = [at for status, at in active if status == Status.QUEUED]
    stuck = sum(1 for at in queued if at < now - STUCK)
    yield Figure(
        asked["number"],
        "waiting for an answer",
        rows(Approval, state__exact=ApprovalState.PENDING),
        "waiting" if asked["number"] else "",
        ago(asked["oldest"]),
    )
    yield Figure(len(active), "going on", rows(Run, status__in=",".join(ACTIVE)))
    yield Figure(len(queued), "queued", rows(Run, status__exact=Status.QUEUED))
    yield Figure(
        stuck,
        "queued for more than two minutes",
        rows(Run, status__exact=Status.QUEUED, created_at__lt=(now - STUCK).isoformat()),
        "failed" if stuck else "",
    )


def _unhealthy(user: User, now: datetime) -> Iterator[Figure]:
    """Only what is wrong."""
    failed = permissions.visible(user, Sandbox.objects.filter(state=State.FAILED, agent__deleted_at=None)).count()
    if failed:
        name = "sandbox failed" if failed == 1 else "sandboxes failed"
        yield Figure(failed, name, rows(Sandbox, state__exact=State.FAILED), "failed")
    hour = now - timedelta(hours=1)
    calls = permissions.visible(user, InferenceCall.objects.filter(created_at__gte=hour)).order_by()
    models = calls.values("model").annotate(number=Count("pk"), bad=Count("pk", filter=Q(status__gte=400)))
    for found in models.filter(bad__gt=0).order_by("-bad", "model")[:5]:
        yield Figure(
            f"{found['bad']} of {found['number']}",
            f"calls of {found['model']} failed in the last hour",
            rows(InferenceCall, q=found["model"], created_at__gte=hour.isoformat(), status__gte=400),
            "failed",
        )
    if permissions.may(user, "user.manage"):
        since = now - timedelta(days=1)
        undone = Failure.objects.filter(stopped__gte=since).count()
        if undone:
            name = "background task failed" if undone == 1 else "background tasks failed"
            yield Figure(undone, f"{name} in 24 hours", rows(Failure, started__gte=since.isoformat()), "failed")


def _checks() -> Iterator[Figure]:
    """Is what everything needs there? The same answers as /readyz."""
    named = (("engine", probes.engine), ("background work", probes.background), ("disk", probes.disk),
             ("agent runtime", probes.agent_runtime))  # fmt: skip
    for name, probe in named:
        check = probes.guarded(name, probe)
        yield Figure("well" if check.ok else "not well", name, "", "ok" if check.ok else "failed",
                     check.detail if check.ok else f"{check.detail}. {check.fix}")  # fmt: skip
