"""What would a draft of a policy or preset have changed? The connections recorded of the last days, decided anew, before it is saved.

Equal connections (agent, host, port, program) are decided once and counted, so that a hundred thousand cost no more
than the few hundred kinds there are of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max
from django.utils import timezone

from agents import permissions, policies
from agents.errors import Invalid
from agents.models import Agent, Policy, Preset, User
from agents.reach import Reach, Rule, parse, place, policy_of, preset_of
from agents.reaching import PARTS, reach_of, rules_of
from sandboxes.models import EgressDecision

DEFAULT_DAYS = 7
MOST_DAYS = 90
SHOWN = 200


@dataclass(frozen=True, slots=True)
class Change:
    """One kind of connection that would be decided otherwise; ``count`` of them, the last at ``last``."""

    agent: Agent
    host: str
    port: int
    binary: str
    count: int
    last: datetime
    allowed: bool  # by the draft; until now it was the other
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a draft does to ``connections`` recorded in ``days`` of the agents the reader may see."""

    days: int
    agents: int
    connections: int
    newly_allowed: int
    newly_refused: int
    still_allowed: int
    still_refused: int
    changes: tuple[Change, ...]  # the most frequent first, SHOWN at most
    more: int


# The rules of one agent, as they are with the draft.
Drafted = Callable[[tuple[Rule, ...]], tuple[Rule, ...]]


def drafted(policy: Policy, rules: Iterable[dict[str, Any]], preset_ids: Iterable[str] | None = None) -> Drafted:
    """With these rules and presets (None: those it includes) in the place of the policy's. Raises Invalid."""
    included = policy.presets.all() if preset_ids is None else policies.chosen(preset_ids, lock=False)
    draft = [*parse(list(rules), policy.pk)]
    for preset in included:
        draft += parse(preset.rules, place(policy.pk, preset.pk))
    return lambda held: (*(rule for rule in held if policy_of(rule.policy) != policy.pk), *draft)


def drafted_preset(preset: Preset, rules: Iterable[dict[str, Any]]) -> Drafted:
    """With these rules in the place of the preset's, in every policy that includes it. Raises Invalid."""
    draft = parse(list(rules))

    def anew(held: tuple[Rule, ...]) -> tuple[Rule, ...]:
        others = [rule for rule in held if preset_of(rule.policy) != preset.pk]
        places = sorted({rule.policy for rule in held} - {rule.policy for rule in others}) or [place("", preset.pk)]
        return (*others, *(replace(rule, policy=where) for where in places for rule in draft))

    return anew


def replay(user: User, source: Policy | Preset, draft: Drafted, days: int = DEFAULT_DAYS) -> Outcome:
    """Decide again what was recorded of the agents with ``source`` that ``user`` sees, with the draft in its place.

    Raises Invalid for a number of days that is none. Addresses are not looked up again: only rules are compared."""
    if not 1 <= days <= MOST_DAYS:
        raise Invalid(f"Connections can be replayed over 1 to {MOST_DAYS} days.", field="days")
    through = {"policies": source} if isinstance(source, Policy) else {"policies__presets": source}
    using = Agent.objects.alive().filter(**through).distinct()
    agents = {agent.pk: agent for agent in permissions.visible(user, using).prefetch_related(*PARTS)}
    told = list(_decided(agents, draft, _kinds(user, agents, days)))
    changes = sorted((each for each, changes in told if changes), key=lambda each: (-each.count, each.host, each.port))
    totals = {
        (allowed, changed): sum(each.count for each, differs in told if (each.allowed, differs) == (allowed, changed))
        for allowed in (True, False)
        for changed in (True, False)
    }
    return Outcome(
        days,
        len(agents),
        sum(totals.values()),
        totals[True, True],
        totals[False, True],
        totals[True, False],
        totals[False, False],
        tuple(changes[:SHOWN]),
        max(len(changes) - SHOWN, 0),
    )


def _kinds(user: User, agents: dict[str, Agent], days: int) -> list[dict[str, Any]]:
    rows = EgressDecision.objects.filter(agent__in=list(agents), at__gte=timezone.now() - timedelta(days=days))
    kinds = permissions.visible(user, rows).order_by().values("agent_id", "host", "port", "binary")
    return list[Any](kinds.annotate(count=Count("pk"), last=Max("at")))


def _decided(agents: dict[str, Agent], draft: Drafted, kinds: list[dict[str, Any]]) -> Iterator[tuple[Change, bool]]:
    """Each kind as the draft decides it, and whether that is another decision than now."""
    pairs: dict[str, tuple[Reach, Reach]] = {}
    for kind in kinds:
        agent = agents[kind["agent_id"]]
        if agent.pk not in pairs:
            pairs[agent.pk] = reach_of(agent), Reach(draft(rules_of(agent)))
        asked = kind["host"], kind["port"], kind["binary"]
        now, then = (reach.decide(*asked) for reach in pairs[agent.pk])
        change = Change(agent, *asked, kind["count"], kind["last"], then.allowed, then.reason)
        yield change, now.allowed != then.allowed
