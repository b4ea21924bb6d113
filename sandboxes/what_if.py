"""What would a draft of a policy or preset have changed? The connections recorded of the last days, decided anew, before it is saved.

Equal connections (agent, host, port, program) are decided once and counted, so that a hundred thousand cost no more
than the few hundred kinds there are of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.db.models import Count, Max, QuerySet
from django.utils import timezone

from agents import permissions, policies
from agents.errors import Invalid
from agents.models import Agent, Policy, Preset, User
from agents.reach import Reach, Rule, parse, place, policy_of, preset_of
from agents.reaching import PARTS, reach_of, rules_of
from sandboxes import foresight
from sandboxes.foresight import ALLOW, BLOCK, Case, Ruling, Share, Turned
from sandboxes.models import EgressDecision

DEFAULT_DAYS = 7
MOST_DAYS = 90
SHOWN = 200
# A save waits for no more than this.
MOST_AT_SAVE = 50_000
# Of so many hosts at most it is looked up whose runs asked for them; a database takes only so long a list.
MOST_TRACED = 900


@dataclass(frozen=True, slots=True)
class Change:
    """One kind of connection that would be decided otherwise; ``count`` of them, the last at ``last``; ``run_id`` is the
    newest run it happened in that the reader sees, ``rule`` the one that makes the difference."""

    agent: Agent
    host: str
    port: int
    binary: str
    count: int
    last: datetime
    allowed: bool  # by the draft; until now it was the other
    reason: str
    rule: str = ""
    run_id: str = ""


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
    by_rule: tuple[Share, ...] = ()
    by_agent: tuple[Share, ...] = ()
    by_person: tuple[Share, ...] = ()

    @property
    def figures(self) -> str:
        """One sentence for the history of the change."""
        if not self.connections:
            return f"Nothing was recorded in {self.days} days to try it on."
        return (
            f"Of {self.connections} connections of {self.agents} agents in {self.days} days it would have refused "
            f"{self.newly_refused} more and let {self.newly_allowed} more through."
        )


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
    recorded = _recorded(user, agents, days)
    turned = foresight.turn(_cases(recorded), *_evaluators(agents, draft))
    counted, changed = foresight.totals(turned), [each for each in turned if each.differs]
    changed.sort(key=lambda each: (-each.case.count, each.case.about))
    traced = foresight.trace(user, changed, _runs_of(recorded, changed))
    return Outcome(
        days,
        len(agents),
        counted.decisions,
        counted.newly(ALLOW),
        counted.newly(BLOCK),
        counted.still(ALLOW),
        counted.still(BLOCK),
        tuple(_change(agents, each, traced) for each in changed[:SHOWN]),
        max(len(changed) - SHOWN, 0),
        _named(foresight.by_rule(changed)),
        foresight.by_agent(changed, {pk: agent.name for pk, agent in agents.items()}),
        traced.people,
    )


def figures(user: User, policy: Policy, presets: Iterable[Preset]) -> str:
    """For the history of a change that is being saved: what it would have done to the last days."""
    draft = drafted(policy, policy.rules, [preset.pk for preset in presets])
    since = timezone.now() - timedelta(days=DEFAULT_DAYS)
    recorded = EgressDecision.objects.filter(agent__policies=policy, at__gte=since).order_by()
    if len(recorded.values_list("pk", flat=True)[: MOST_AT_SAVE + 1]) > MOST_AT_SAVE:
        return f"Not tried on what was recorded: more than {MOST_AT_SAVE:,} connections."
    return replay(user, policy, draft).figures


def _recorded(user: User, agents: dict[str, Agent], days: int) -> QuerySet[EgressDecision]:
    rows = EgressDecision.objects.filter(agent__in=list(agents), at__gte=timezone.now() - timedelta(days=days))
    return permissions.visible(user, rows).order_by()


def _cases(recorded: QuerySet[EgressDecision]) -> Iterator[Case]:
    kinds = recorded.values_list("agent_id", "host", "port", "binary").annotate(count=Count("pk"), last=Max("at"))
    for agent_id, host, port, binary, count, last in kinds:
        yield Case(agent_id, (host, port, binary), count, last)


def _evaluators(agents: dict[str, Agent], draft: Drafted) -> tuple[foresight.Decide, foresight.Decide]:
    """What decides live, over the rules as they are and with the draft: the same code, asked twice."""
    now = cache(lambda agent_id: reach_of(agents[agent_id]))
    then = cache(lambda agent_id: Reach(draft(rules_of(agents[agent_id]))))

    def by(reach: Callable[[str], Reach]) -> foresight.Decide:
        def decide(case: Case) -> Ruling:
            host, port, binary = case.about
            verdict = reach(case.agent_id).decide(host, port, binary)
            return Ruling(ALLOW if verdict.allowed else BLOCK, verdict.rule, verdict.reason)

        return decide

    return by(now), by(then)


def _runs_of(
    recorded: QuerySet[EgressDecision], changed: list[Turned]
) -> Iterator[tuple[str, tuple[str, int, str], str, int]]:
    if not changed:
        return
    hosts = dict.fromkeys(each.case.about[0] for each in changed)
    rows = recorded.filter(host__in=list(hosts)[:MOST_TRACED]).values_list(
        "agent_id", "host", "port", "binary", "run_id"
    )
    for agent_id, host, port, binary, run_id, count in rows.annotate(count=Count("pk")):
        yield agent_id, (host, port, binary), run_id, count


def _change(agents: dict[str, Agent], each: Turned, traced: foresight.Traced) -> Change:
    case, after = each.case, each.after
    host, port, binary = case.about
    run_id = traced.runs.get((case.agent_id, case.about), "")
    assert case.last is not None  # noqa: S101 (cases of rows have a time)
    return Change(
        agents[case.agent_id], host, port, binary, case.count, case.last, after.verdict == ALLOW, after.reason,
        _bare(each.rule), run_id,
    )  # fmt: skip


def _bare(rule: str) -> str:
    """A rule's own name, without where it stands."""
    return rule.rpartition("/")[2]


def _named(found: tuple[Share, ...]) -> tuple[Share, ...]:
    return tuple(replace(share, name=_bare(share.name)) for share in found)
