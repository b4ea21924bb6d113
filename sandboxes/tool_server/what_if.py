"""What would a draft of tool rules have changed? The calls recorded of the last days, judged anew, before it is saved.

The command gate is asked as it is for a call; rates are left out: they depend on what else was called in the same minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.db.models import Count, Max, QuerySet
from django.utils import timezone

from agents import gate_rules, permissions
from agents.errors import Invalid, LogosError
from agents.models import Agent, User
from sandboxes import foresight
from sandboxes.foresight import ALLOW, ASK, BLOCK, Case, Ruling, Share, Turned
from sandboxes.tool_server import catalogue, deciding, gating, outside, rules, subjects
from sandboxes.tool_server.deciding import AGENT, SITE, Rule
from sandboxes.tool_server.models import ToolCall
from sandboxes.tool_server.tiers import Tier

DEFAULT_DAYS, MOST_DAYS, SHOWN = 7, 90, 200
MOST_DRAFTED = 200
BATCH = 500
_VERDICTS = {Tier.ALLOW: ALLOW, Tier.NOTIFY: ALLOW, Tier.ASK: ASK, Tier.BLOCK: BLOCK}


@dataclass(frozen=True, slots=True)
class ToolChange:
    """One call, made ``count`` times, that would be judged otherwise."""

    agent: Agent
    tool: str
    about: str
    count: int
    last: datetime | None
    before: str
    after: str
    reason: str
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """What a draft does to ``calls`` recorded in ``days``; ``unclear`` are those whose arguments can be read no more."""

    days: int
    agents: int
    calls: int
    newly_blocked: int
    newly_asked: int
    newly_allowed: int
    unclear: int
    changes: tuple[ToolChange, ...]
    more: int
    by_rule: tuple[Share, ...]
    by_agent: tuple[Share, ...]
    by_person: tuple[Share, ...]


def drafted(user: User, agent: Agent | None, given: Iterable[dict[str, Any]]) -> list[Rule]:
    """The draft as rules: those of one agent, or those the site has for all. Invalid for what no rule can be."""
    permissions.require(user, "tool.site" if agent is None else "tool.rules", agent)
    layer, found = SITE if agent is None else AGENT, list[Rule]()
    for number, entry in enumerate(given, 1):
        try:
            found.append(replace(rules.checked(**entry), id=f"draft {number}", layer=layer, is_own=agent is not None))
        except TypeError as error:
            raise Invalid(f"Rule {number} holds what means nothing here.", field="rules") from error
        except Invalid as error:
            raise Invalid(f"Rule {number}: {error.message}", field="rules", action=error.action) from error
    if len(found) > MOST_DRAFTED:
        raise Invalid(f"A draft may have {MOST_DRAFTED} rules.", field="rules")
    return found


def replay(user: User, agent: Agent | None, draft: list[Rule], days: int = DEFAULT_DAYS) -> ToolOutcome:
    """Judge again what was called, with the draft in the place of the agent's own rules, or of the site's for all."""
    if not 1 <= days <= MOST_DAYS:
        raise Invalid(f"Calls can be replayed over 1 to {MOST_DAYS} days.", field="days")
    seen = permissions.visible(user, Agent.objects.alive())
    agents = {each.pk: each for each in (seen if agent is None else seen.filter(pk=agent.pk))}
    since = timezone.now() - timedelta(days=days)
    rows = ToolCall.objects.filter(agent__in=seen.order_by().values("pk"), at__gte=since)
    rows = rows if agent is None else rows.filter(agent=agent)
    recorded = permissions.visible(user, rows).order_by()
    kinds, about, unclear = cases(recorded)
    turned = foresight.turn(kinds, *_evaluators(about, agent, draft))
    counted, changed = foresight.totals(turned), [each for each in turned if each.differs]
    changed.sort(key=lambda each: (-each.case.count, str(each.case.about)))
    traced = foresight.trace(user, changed, runs_of(recorded, (each.case.about[1] for each in changed)))
    return ToolOutcome(
        days,
        len(agents),
        counted.decisions,
        counted.newly(BLOCK),
        counted.newly(ASK),
        counted.newly(ALLOW),
        unclear,
        tuple(_change(agents, each, about, traced) for each in changed[:SHOWN]),
        max(len(changed) - SHOWN, 0),
        foresight.by_rule(changed),
        foresight.by_agent(changed, {pk: each.name for pk, each in agents.items()}),
        traced.people,
    )


About = dict[tuple[str, str], tuple[catalogue.Tool, list[deciding.Thing]]]


def cases(recorded: QuerySet[ToolCall]) -> tuple[list[Case], About, int]:
    """Equal calls as one case; what each is about; and how many cannot be read any more."""
    kinds = list(
        recorded.values_list("agent_id", "tool", "digest").annotate(count=Count("pk"), last=Max("at"), sample=Max("pk"))
    )
    about: About = {}
    samples = [kind[5] for kind in kinds if (kind[1], kind[2]) not in about]
    arguments = dict(_arguments(samples))
    found, unclear = list[Case](), 0
    for agent_id, tool, digest, count, last, sample in kinds:
        try:
            known = outside.tool(tool) if outside.is_outside(tool) else catalogue.BY_NAME[tool]
            about.setdefault((tool, digest), (known, subjects.things(known, arguments[sample])))
        except (LogosError, KeyError, TypeError, AttributeError):
            unclear += count
        else:
            found.append(Case(agent_id, (tool, digest), count, last))
    return found, about, unclear


def _arguments(ids: list[str]) -> Iterator[tuple[str, Any]]:
    for start in range(0, len(ids), BATCH):
        yield from ToolCall.objects.filter(pk__in=ids[start : start + BATCH]).values_list("pk", "arguments")


def _evaluators(about: About, agent: Agent | None, draft: list[Rule]) -> tuple[foresight.Decide, foresight.Decide]:
    """What judges live, over the rules as they are and with the draft."""
    now, gate = cache(rules.of), cache(gate_rules.rules_for)

    @cache
    def then(agent_id: str) -> list[Rule]:
        replaced = (lambda rule: rule.layer == AGENT and rule.is_own) if agent else (lambda rule: not rule.is_own)
        return [*(rule for rule in now(agent_id) if not replaced(rule)), *draft]

    def by(held: Any) -> foresight.Decide:
        def decide(case: Case) -> Ruling:
            tool, things = about[case.about]
            verdict = gating.decide(tool, things, held(case.agent_id), gate(case.agent_id))
            return Ruling(_VERDICTS[verdict.tier], verdict.rule, verdict.reason)

        return decide

    return by(now), by(then)


def runs_of(recorded: QuerySet[ToolCall], wanted: Iterable[str]) -> Iterator[tuple[str, tuple[str, str], str, int]]:
    """In which runs calls of these digests were made, how often."""
    digests = list(dict.fromkeys(wanted))
    for start in range(0, len(digests), BATCH):
        rows = recorded.filter(digest__in=digests[start : start + BATCH]).values_list(
            "agent_id", "tool", "digest", "run_id"
        )
        for agent_id, tool, digest, run_id, count in rows.annotate(count=Count("pk")):
            yield agent_id, (tool, digest), run_id, count


def _change(agents: dict[str, Agent], each: Turned, about: About, traced: foresight.Traced) -> ToolChange:
    case = each.case
    tool, things = about[case.about]
    return ToolChange(
        agents[case.agent_id],
        tool.name,
        ", ".join(thing.value for thing in things)[:200],
        case.count,
        case.last,
        each.before.verdict,
        each.after.verdict,
        each.after.reason,
        traced.runs.get((case.agent_id, case.about), ""),
    )
