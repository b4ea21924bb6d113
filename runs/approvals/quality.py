"""How well people decide: how many, how fast, what lapsed while it was theirs, how often they let a canary pass."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from django.db.models import Avg, Count, DurationField, ExpressionWrapper, F, IntegerField, Q, QuerySet, Value
from django.utils import timezone

from agents import permissions
from agents.actions import ACTIONS
from agents.errors import Invalid
from agents.models import User
from runs.approvals.lists import addressed, own_alone, seen_by
from runs.models import Approval, ApprovalState

DEFAULT_DAYS = 30
MOST_DAYS = 366
# Nobody has read a command in less.
HASTY = timedelta(seconds=3)
BY_PEOPLE = ("page", "api", "command", "console", "channel")
# Of more decisions than this the median is that of the newest; of more people than this the busiest are told.
MOST_TIMES = 50_000
MOST_PEOPLE = 100


@dataclass(frozen=True, slots=True)
class Figure:
    """One person's decisions. ``hasty``: within three seconds. ``expired``: what they could have decided and nobody did.
    ``votes``: leave they gave as one of several, before the last. ``missed``: canaries they allowed."""

    username: str
    decided: int = 0
    allowed: int = 0
    denied: int = 0
    hasty: int = 0
    average_s: float = 0.0
    canaries: int = 0
    missed: int = 0
    expired: int = 0
    median_s: float = 0.0
    votes: int = 0

    @property
    def caught(self) -> int:
        """Canaries they denied."""
        return self.canaries - self.missed

    @property
    def median_ms(self) -> float:
        return self.median_s * 1000

    @property
    def allowed_percent(self) -> int | None:
        return round(100 * self.allowed / self.decided) if self.decided else None

    @property
    def denied_percent(self) -> int | None:
        return 100 - allowed if (allowed := self.allowed_percent) is not None else None


def figures(user: User, days: int = DEFAULT_DAYS) -> list[Figure]:
    """Per person, most decisions first, over what ``user`` may see; for those who may see the audit."""
    permissions.require(user, "audit.view")
    rows = seen_by(user).filter(created_at__gte=_since(days)).order_by()
    found = _decided(rows)
    busiest = sorted(found, key=lambda name: -found[name].decided)[:MOST_PEOPLE]
    people = {each.username: each for each in User.objects.filter(username__in=busiest)}
    lapsed = rows.filter(state=ApprovalState.EXPIRED)
    others = Q(pk__in=lapsed.values("asked_for")) | Q(role__in=ACTIONS["approval.decide_admin"].roles)
    for each in User.objects.filter(others, is_active=True).exclude(username__in=busiest)[:MOST_PEOPLE]:
        people[each.username] = each
    for name, number in _lapsed(lapsed, people.values()).items():
        found[name] = replace(found.get(name) or Figure(name), expired=number)
    return sorted(found.values(), key=lambda figure: (-figure.decided, figure.username))


def own(user: User, days: int = DEFAULT_DAYS) -> Figure:
    """What one's own decisions look like; for everybody who may decide."""
    permissions.require(user, "run.approve")
    rows = Approval.objects.filter(created_at__gte=_since(days)).order_by()
    mine = rows.filter(Q(decided_by=user) | Q(needed__gt=1) & ~Q(votes=[]))
    figure = _decided(mine).get(user.username) or Figure(user.username)
    lapsed = rows.filter(state=ApprovalState.EXPIRED)
    return replace(figure, expired=_lapsed(lapsed, [user]).get(user.username, 0))


def _since(days: int) -> object:
    if not 1 <= days <= MOST_DAYS:
        raise Invalid(f"Figures are over 1 to {MOST_DAYS} days.", field="days")
    return timezone.now() - timedelta(days=days)


def _decided(rows: QuerySet[Approval]) -> dict[str, Figure]:
    """By user name; three queries."""
    took = ExpressionWrapper(F("decided_at") - F("created_at"), output_field=DurationField())
    by_people = rows.filter(decided_via__in=BY_PEOPLE, decided_by__isnull=False)
    told = by_people.annotate(took=took).values("decided_by__username").annotate(
        decided=Count("pk"),
        allowed=Count("pk", filter=Q(state=ApprovalState.ALLOWED)),
        denied=Count("pk", filter=Q(state=ApprovalState.DENIED)),
        hasty=Count("pk", filter=Q(took__lt=HASTY)),
        average=Avg("took"),
        canaries=Count("pk", filter=Q(is_canary=True)),
        missed=Count("pk", filter=Q(is_canary=True, state=ApprovalState.ALLOWED)),
    )  # fmt: skip
    medians, votes = _medians(by_people), _votes(rows)
    found = {
        each["decided_by__username"]: Figure(
            each["decided_by__username"],
            each["decided"],
            each["allowed"],
            each["denied"],
            each["hasty"],
            round(each["average"].total_seconds(), 1),
            each["canaries"],
            each["missed"],
            median_s=medians.get(each["decided_by__username"], 0.0),
        )
        for each in told
    }
    for name, number in votes.items():
        found[name] = replace(found.get(name) or Figure(name), votes=number)
    return found


def _medians(rows: QuerySet[Approval]) -> dict[str, float]:
    times: dict[str, list[float]] = defaultdict(list)
    newest = rows.order_by("-decided_at").values_list("decided_by__username", "created_at", "decided_at")
    for name, asked, decided in newest[:MOST_TIMES]:
        if decided is not None:
            times[name].append((decided - asked).total_seconds())
    return {name: round(statistics.median(each), 1) for name, each in times.items()}


def _votes(rows: QuerySet[Approval]) -> dict[str, int]:
    """Leave that was not the last: who decided in the end is counted as deciding."""
    given: dict[int, int] = defaultdict(int)
    several = rows.filter(needed__gt=1).exclude(votes=[]).values_list("votes", "decided_by")
    for votes, decided_by in several[:MOST_TIMES]:
        for vote in votes:
            given[vote["by"]] += vote["by"] != decided_by
    names = User.objects.filter(pk__in=given).values_list("pk", "username") if given else ()
    return {name: given[pk] for pk, name in names if given[pk]}


def _lapsed(rows: QuerySet[Approval], people: Iterable[User]) -> dict[str, int]:
    """How many of these requests each of them could have decided; one query for all."""
    parts = [
        rows.filter(addressed(each)).exclude(own_alone(each)).order_by()
        .values(who=Value(each.pk, output_field=IntegerField())).annotate(number=Count("pk")).values_list("who", "number")
        for each in people
    ]  # fmt: skip
    if not parts:
        return {}
    names = {each.pk: each.username for each in people}
    counted = parts[0].union(*parts[1:], all=True) if len(parts) > 1 else parts[0]
    return {names[who]: number for who, number in counted if number}
