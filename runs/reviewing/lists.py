"""What the reviewer said, and figures over it, as far as somebody may see the requests themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from django.db.models import Avg, Count, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.utils import timezone

from agents.errors import Invalid
from agents.models import User
from runs import approvals
from runs.approvals.quality import BY_PEOPLE, DEFAULT_DAYS, MOST_DAYS
from runs.models import Approval, ApprovalState, ReviewerOpinion, ReviewOutcome, Verdict
from runs.reviewing.limits import WHY

# A verdict and what a person would have made of the same.
_SAME = Q(verdict=Verdict.ALLOW, people=ApprovalState.ALLOWED) | Q(verdict=Verdict.DENY, people=ApprovalState.DENIED)


@dataclass(frozen=True, slots=True)
class Reason:
    """How often requests were left to people for one reason."""

    why: str
    label: str
    count: int


@dataclass(slots=True)
class Figures:
    """One agent's, or all together (``agent_id`` ""). ``agreed`` and ``differed``: where people decided the like, the same
    or later, as it had said or otherwise. ``cost`` is at least that when ``unpriced``."""

    agent_id: str = ""
    agent_name: str = ""
    requests: int = 0
    asked: int = 0
    allowed: int = 0
    denied: int = 0
    left: int = 0
    reversed: int = 0
    agreed: int = 0
    differed: int = 0
    cost: Decimal = Decimal(0)
    unpriced: int = 0
    average_ms: float | None = None
    reasons: list[Reason] = field(default_factory=list)


def seen_by(user: User) -> QuerySet[ReviewerOpinion]:
    """What it said of requests that this person may read, the newest first."""
    rows = ReviewerOpinion.objects.filter(approval__in=approvals.seen_by(user).order_by().values("pk"))
    return rows.order_by("-created_at", "-pk")


def detailed(rows: QuerySet[ReviewerOpinion]) -> QuerySet[ReviewerOpinion]:
    """The same with what a list shows of each."""
    return rows.select_related("approval__agent", "approval__asked_for", "reversed_by")


def figures(user: User, days: int = DEFAULT_DAYS) -> tuple[Figures, list[Figures]]:
    """All together, and per agent, most requests first. Two queries."""
    if not 1 <= days <= MOST_DAYS:
        raise Invalid(f"Figures are over 1 to {MOST_DAYS} days.", field="days")
    rows = seen_by(user).order_by().filter(created_at__gte=timezone.now() - timedelta(days=days))
    named = rows.values("approval__agent", "approval__agent__name")
    told = rows.annotate(people=_people()).values("approval__agent", "approval__agent__name").annotate(
        requests=Count("pk"),
        asked=Count("asked_at"),
        allowed=Count("pk", filter=Q(outcome=ReviewOutcome.ALLOWED)),
        denied=Count("pk", filter=Q(outcome=ReviewOutcome.DENIED)),
        left=Count("pk", filter=Q(outcome=ReviewOutcome.LEFT)),
        reversed=Count("reversed_at"),
        agreed=Count("pk", filter=_SAME),
        compared=Count("pk", filter=~Q(verdict="") & ~Q(verdict=Verdict.UNSURE) & Q(people__isnull=False)),
        paid=Sum("cost"),
        calls=Count("pk", filter=~Q(call_id="")),
        priced=Count("cost"),
        average=Avg("latency_ms"),
    )  # fmt: skip
    found = {
        each["approval__agent"]: Figures(
            each["approval__agent"] or "",
            each["approval__agent__name"] or "",
            each["requests"],
            each["asked"],
            each["allowed"],
            each["denied"],
            each["left"],
            each["reversed"],
            each["agreed"],
            each["compared"] - each["agreed"],
            each["paid"] or Decimal(0),
            max(0, each["calls"] - each["priced"]),
            each["average"],
        )
        for each in told
    }
    left = named.filter(outcome=ReviewOutcome.LEFT).annotate(reason=F("why"), count=Count("pk"))
    for each in left.order_by("-count", "why"):
        label = WHY.get(each["reason"], (each["reason"],))[0]
        found[each["approval__agent"]].reasons.append(Reason(each["reason"], label, each["count"]))
    per_agent = sorted(found.values(), key=lambda one: (-one.requests, one.agent_name))
    return _together(per_agent), per_agent


def _people() -> Subquery:
    """What people first decided about the like, once it had been asked for."""
    by_people = Approval.objects.filter(decided_via__in=BY_PEOPLE, is_canary=False, key__gt="")
    same = by_people.filter(
        agent=OuterRef("approval__agent"), kind=OuterRef("approval__kind"), key=OuterRef("approval__key")
    )
    later = same.filter(decided_at__gte=OuterRef("created_at"))
    return Subquery(later.order_by("decided_at", "pk").values("state")[:1])


def _together(each: Iterable[Figures]) -> Figures:
    total, times, answered = Figures(), 0.0, 0
    reasons: dict[str, int] = {}
    for one in each:
        for name in (
            "requests",
            "asked",
            "allowed",
            "denied",
            "left",
            "reversed",
            "agreed",
            "differed",
            "cost",
            "unpriced",
        ):
            setattr(total, name, getattr(total, name) + getattr(one, name))
        if one.average_ms is not None:
            times, answered = times + one.average_ms * one.asked, answered + one.asked
        for reason in one.reasons:
            reasons[reason.why] = reasons.get(reason.why, 0) + reason.count
    total.average_ms = times / answered if answered else None
    ordered = sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    total.reasons = [Reason(why, WHY.get(why, (why,))[0], count) for why, count in ordered]
    return total
