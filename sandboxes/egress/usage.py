"""Which rules were ever needed: when each was last matched, which of a policy were not, and taking those out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, Max
from django.utils import timezone

from agents import policies
from agents.errors import Invalid
from agents.models import Policy, Preset, User
from agents.reach import place
from sandboxes.models import EgressDecision

DEFAULT_DAYS = 14

# The presets that each of some policies includes, by the policy's id.
Included = Mapping[str, Collection[Preset]]


@dataclass(frozen=True, slots=True)
class Usage:
    """The rules of one policy that nothing matched for ``days``, and the presets of which nothing matched any rule.
    ``is_known`` is False while records do not go back that far: then nothing is said to be unused."""

    policy: Policy
    days: int
    is_known: bool
    unused: tuple[dict[str, Any], ...]
    presets: tuple[Preset, ...] = ()


@dataclass(frozen=True, slots=True)
class _Version:
    """A policy as it was from ``at`` on."""

    at: datetime
    rules: Any
    presets: frozenset[str]


def last_matched(labels: Iterable[str]) -> dict[str, datetime]:
    """When a connection was last decided by each of these rules, of any agent."""
    return dict(matched(labels).values_list("rule", "last"))


def matched(labels: Iterable[str]) -> Any:
    """The same as a query of ``rule`` and ``last``, for others to join."""
    rows = EgressDecision.objects.filter(rule__in=list(labels)).order_by()
    return rows.values("rule").annotate(last=Max("at"))


def labels_of(policy: Policy, included: Iterable[Preset]) -> list[str]:
    """What records call the rules of a policy and of the presets it includes; of whatever can be read."""
    parts = [(policy.pk, policy.rules), *((place(policy.pk, preset.pk), preset.rules) for preset in included)]
    return [
        f"{stands_in}/{rule.get('name')}"
        for stands_in, rules in parts
        for rule in (rules if isinstance(rules, list) else ())
        if isinstance(rule, dict)
    ]


def check_days(days: int) -> int:
    """The number, if decisions are kept for that long. Raises Invalid."""
    if not 1 <= days <= settings.LOGOS_EGRESS_DAYS:
        raise Invalid(f"Days go from 1 to {settings.LOGOS_EGRESS_DAYS}: decisions are kept no longer.", field="days")
    return days


def unused(policy: Policy, days: int = DEFAULT_DAYS) -> Usage:
    """The rules and presets that stood in the policy all that time, as they are, and were not matched."""
    return unused_of([policy], days)[0]


def unused_of(
    held: Collection[Policy],
    days: int = DEFAULT_DAYS,
    included: Included | None = None,
    last: Mapping[str, datetime] | None = None,
) -> list[Usage]:
    """The same for several policies. Who knows what they include and when rules were matched says so: then it takes
    one query."""
    since = timezone.now() - timedelta(days=check_days(days))
    versions = _versions(held, since)
    if not versions:
        return [Usage(policy, days, False, ()) for policy in held]
    included = {policy.pk: list(policy.presets.all()) for policy in held} if included is None else included
    if last is None:
        last = last_matched(label for policy in held for label in labels_of(policy, included[policy.pk]))
    return [_usage(policy, days, since, versions[policy.pk], included[policy.pk], last) for policy in held]


def _versions(held: Collection[Policy], since: datetime) -> dict[str, list[_Version]]:
    """Of each policy, the oldest first; nothing at all when no record of a connection is that old."""
    goes_back = Exists(EgressDecision.objects.filter(at__lte=since).order_by())
    records = Policy.history.filter(id__in=[policy.pk for policy in held]).annotate(goes_back=goes_back)
    rows: dict[int, tuple[str, datetime, Any, set[str]]] = {}
    fields = ("history_id", "id", "history_date", "rules", "goes_back", "historicalpolicy_presets__preset_id")
    for number, key, at, rules, is_old, preset in records.order_by("history_id").values_list(*fields):
        if not is_old:
            return {}
        rows.setdefault(number, (key, at, rules, set()))[3].add(preset or "")
    found: dict[str, list[_Version]] = {policy.pk: [] for policy in held}
    for key, at, rules, presets in rows.values():
        found[key].append(_Version(at, rules, frozenset(presets)))
    return found if rows else {}


def _usage(
    policy: Policy,
    days: int,
    since: datetime,
    versions: list[_Version],
    included: Collection[Preset],
    last: Mapping[str, datetime],
) -> Usage:
    then = [each for each in versions if each.at <= since][-1:]
    if not then:  # there was no policy yet
        return Usage(policy, days, False, ())
    # What was taken out and put in anew begins anew.
    stood = [*then, *(each for each in versions if each.at > since)]

    def is_idle(label: str) -> bool:
        return last.get(label, since) <= since

    rules = [
        rule
        for rule in policy.rules
        if all(rule in each.rules for each in stood) and is_idle(f"{policy.pk}/{rule['name']}")
    ]
    presets = [
        preset
        for preset in included
        if all(preset.pk in each.presets for each in stood)
        and all(is_idle(f"{place(policy.pk, preset.pk)}/{rule.get('name')}") for rule in preset.rules)
    ]
    return Usage(policy, days, True, tuple(rules), tuple(presets))


def prune(
    user: User,
    policy_id: str,
    version: int,
    names: Collection[str],
    days: int = DEFAULT_DAYS,
    preset_ids: Collection[str] = (),
) -> Policy:
    """Take these rules and presets out of the policy, if they are unused. Raises NotFound, Stale, and Invalid for one
    that is needed or not there."""
    if not names and not preset_ids:
        raise Invalid("Choose the rules to take out.", field="rules")
    policy = policies.may_change(user, policy_id)
    found = unused(policy, days)
    for what, wanted, idle in (
        ("rule", names, {rule["name"] for rule in found.unused}),
        ("preset", preset_ids, {preset.pk for preset in found.presets}),
    ):
        if needed := sorted(set(wanted) - idle):
            raise Invalid(
                f"The {what} {needed[0][:80]!r} was matched in the last {days} days, or is not there.", field="rules"
            )
    kept = [rule for rule in policy.rules if rule["name"] not in names]
    presets = [preset.pk for preset in policy.presets.all() if preset.pk not in preset_ids]
    return policies.change(user, policy_id, version, rules=kept, preset_ids=presets)
