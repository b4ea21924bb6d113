"""Which rules were ever needed: when each was last matched, which of a policy were not, and taking those out."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Max
from django.utils import timezone

from agents import policies
from agents.errors import Invalid
from agents.models import Policy, User
from sandboxes.models import EgressDecision

DEFAULT_DAYS = 14


@dataclass(frozen=True, slots=True)
class Usage:
    """The rules of one policy that nothing matched for ``days``. ``is_known`` is False while records do not go back
    that far: then nothing is said to be unused."""

    policy: Policy
    days: int
    is_known: bool
    unused: tuple[dict[str, Any], ...]


def last_matched(labels: Iterable[str]) -> dict[str, datetime]:
    """When a connection was last decided by each of these rules, of any agent."""
    rows = EgressDecision.objects.filter(rule__in=list(labels)).order_by()
    return dict(rows.values_list("rule").annotate(last=Max("at")))


def check_days(days: int) -> int:
    """The number, if decisions are kept for that long. Raises Invalid."""
    if not 1 <= days <= settings.LOGOS_EGRESS_DAYS:
        raise Invalid(f"Days go from 1 to {settings.LOGOS_EGRESS_DAYS}: decisions are kept no longer.", field="days")
    return days


def unused(policy: Policy, days: int = DEFAULT_DAYS) -> Usage:
    """The rules that stood in the policy all that time, as they are, and were not matched."""
    return unused_of([policy], days)[0]


def unused_of(held: Collection[Policy], days: int = DEFAULT_DAYS) -> list[Usage]:
    """The same for several policies, in three queries."""
    since = timezone.now() - timedelta(days=check_days(days))
    if not held or not EgressDecision.objects.filter(at__lte=since).exists():
        return [Usage(policy, days, False, ()) for policy in held]
    stood = {policy.pk: _stood(policy, since, versions) for policy, versions in _versions(held)}
    last = last_matched(f"{key}/{rule['name']}" for key, rules in stood.items() for rule in rules or ())
    return [_usage(policy, days, since, stood[policy.pk], last) for policy in held]


def _versions(held: Collection[Policy]) -> list[tuple[Policy, list[tuple[datetime, Any]]]]:
    found: dict[str, list[tuple[datetime, Any]]] = {policy.pk: [] for policy in held}
    records = Policy.history.filter(id__in=list(found)).order_by("history_id")
    for key, at, rules in records.values_list("id", "history_date", "rules"):
        found[key].append((at, rules))
    return [(policy, found[policy.pk]) for policy in held]


def _stood(policy: Policy, since: datetime, versions: list[tuple[datetime, Any]]) -> list[dict[str, Any]] | None:
    """The rules that were there at ``since`` and in every version after; None when there was no policy yet."""
    then = [rules for at, rules in versions if at <= since][-1:]
    # A rule that was taken out and put in anew begins anew.
    after = [rules for at, rules in versions if at > since]
    return [rule for rule in policy.rules if all(rule in rules for rules in (*then, *after))] if then else None


def _usage(
    policy: Policy, days: int, since: datetime, stood: list[dict[str, Any]] | None, last: dict[str, datetime]
) -> Usage:
    idle = [rule for rule in stood or () if last.get(f"{policy.pk}/{rule['name']}", since) <= since]
    return Usage(policy, days, stood is not None, tuple(idle))


def prune(user: User, policy_id: str, version: int, names: Collection[str], days: int = DEFAULT_DAYS) -> Policy:
    """Take these rules out of the policy, if they are unused. Raises NotFound, Stale, and Invalid for a rule that is
    needed or not there."""
    if not names:
        raise Invalid("Choose the rules to take out.", field="rules")
    policy = policies.may_change(user, policy_id)
    idle = {rule["name"] for rule in unused(policy, days).unused}
    if needed := sorted(set(names) - idle):
        raise Invalid(f"The rule {needed[0]!r} was matched in the last {days} days, or is not there.", field="rules")
    kept = [rule for rule in policy.rules if rule["name"] not in names]
    return policies.change(user, policy_id, version, rules=kept)
