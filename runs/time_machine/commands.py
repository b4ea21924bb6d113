"""What would a draft of gate rules have changed? The commands recorded of the last days, judged anew, before it is saved.

Recorded are the requests of agent runtimes (approvals of commands) and the calls of ``process.run``; whatever ran without
either was never judged. A second opinion counts as it was given. Rules that people made of requests count as they are
today, those for one run left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from agents import gate_rules, permissions
from agents.errors import Invalid
from agents.gate import Finding
from agents.gate.own import Own, extended
from agents.gate.rules import Rules
from agents.gate.tirith import NO_OPINION, Opinion
from agents.models import Agent, Policy, User
from runs.approvals.asking import HIDDEN, VIA_GATE
from runs.approvals.rules import covering
from runs.gating import REFUSED, gated
from runs.models import Approval, ApprovalKind, Tier
from sandboxes import foresight
from sandboxes.foresight import ALLOW, ASK, BLOCK, OPERATORS, Case, Ruling, Share, Turned
from sandboxes.models import ToolCall
from sandboxes.tool_server import deciding, gating, rules
from sandboxes.tool_server import what_if as tools
from sandboxes.tool_server.tiers import Tier as ToolTier

DEFAULT_DAYS, MOST_DAYS, SHOWN, MOST_AT_SAVE = 7, 90, 200, 2_000
_VERDICTS = {ToolTier.ALLOW: ALLOW, ToolTier.NOTIFY: ALLOW, ToolTier.ASK: ASK, ToolTier.BLOCK: BLOCK}
WORDS = {ALLOW: "runs", ASK: "asks the person", OPERATORS: "asks operators", BLOCK: "is blocked"}


@dataclass(frozen=True, slots=True)
class CommandChange:
    """One command, ``count`` times, that would be judged otherwise; ``before`` and ``after`` in words."""

    agent: Agent
    command: str
    count: int
    last: datetime | None
    before: str
    after: str
    rule: str
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """What a draft does to ``commands`` recorded in ``days``; ``unclear`` are those that are not whole on record."""

    days: int
    agents: int
    commands: int
    newly_blocked: int
    newly_asked: int
    newly_allowed: int
    newly_admin: int  # operators would decide what nobody or the person decided
    no_longer_admin: int  # and the other way round
    unclear: int
    changes: tuple[CommandChange, ...]
    more: int
    by_rule: tuple[Share, ...]
    by_agent: tuple[Share, ...]
    by_person: tuple[Share, ...]

    @property
    def figures(self) -> str:
        """One sentence for the history of the change."""
        if not self.commands:
            return f"No command was recorded in {self.days} days to try it on."
        return (
            f"Of {self.commands} commands of {self.agents} agents in {self.days} days it would have blocked "
            f"{self.newly_blocked} more, asked for {self.newly_asked}, taken {self.newly_admin} to operators and "
            f"{self.no_longer_admin} from them, and let {self.newly_allowed} more run."
        )


def drafted(user: User, policy: Policy | None, given: Iterable[Mapping[str, Any]]) -> tuple[Own, ...]:
    """The draft as rules: all of those with the policy, or for every agent. Invalid for what no rule can be."""
    permissions.require(user, "gate.edit" if policy else "gate.site", policy)
    found: dict[str, Own] = {}
    for number, entry in enumerate(given, 1):
        try:
            rule = gate_rules.checked(**entry)
        except Invalid as error:
            raise Invalid(f"Rule {number}: {error.message}", field="rules", action=error.action) from error
        if rule.name in found:
            raise Invalid(f"Two rules are called {rule.name}.", field="rules")
        found[rule.name] = rule
    if len(found) > gate_rules.MOST_RULES:
        raise Invalid(f"A draft may have {gate_rules.MOST_RULES} rules.", field="rules")
    return tuple(found.values())


def replay(user: User, policy: Policy | None, draft: tuple[Own, ...], days: int = DEFAULT_DAYS) -> CommandOutcome:
    """Judge again what was recorded of the agents that the draft is about and ``user`` sees."""
    if not 1 <= days <= MOST_DAYS:
        raise Invalid(f"Commands can be replayed over 1 to {MOST_DAYS} days.", field="days")
    about = Agent.objects.alive() if policy is None else Agent.objects.alive().filter(policies=policy)
    agents = {agent.pk: agent for agent in permissions.visible(user, about)}
    since = timezone.now() - timedelta(days=days)
    recorded = Recorded(user, list(agents), since)
    turned = foresight.turn(recorded.cases, *_evaluators(recorded, policy, draft))
    counted, changed = foresight.totals(turned), [each for each in turned if each.differs]
    changed.sort(key=lambda each: (-each.case.count, str(each.case.about)))
    traced = foresight.trace(user, changed, recorded.runs())
    return CommandOutcome(
        days,
        len(agents),
        counted.decisions,
        counted.newly(BLOCK),
        counted.newly(ASK),
        counted.newly(ALLOW),
        counted.newly(OPERATORS),
        counted.no_longer(OPERATORS),
        recorded.unclear,
        tuple(_change(agents, each, recorded, traced) for each in changed[:SHOWN]),
        max(len(changed) - SHOWN, 0),
        foresight.by_rule(changed),
        foresight.by_agent(changed, {pk: each.name for pk, each in agents.items()}),
        traced.people,
    )


def figures(user: User, policy: Policy | None, draft: tuple[Own, ...]) -> str:
    """For the history of a change that is being saved: what it would have done to the last days."""
    agents = Agent.objects.alive() if policy is None else Agent.objects.alive().filter(policies=policy)
    since = timezone.now() - timedelta(days=DEFAULT_DAYS)
    asked = Approval.objects.filter(kind=ApprovalKind.COMMAND, agent__in=agents, created_at__gte=since)
    called = ToolCall.objects.filter(tool="process.run", agent__in=agents, at__gte=since)
    if asked.count() + called.count() > MOST_AT_SAVE:
        return f"Not tried on what was recorded: more than {MOST_AT_SAVE:,} commands."
    return replay(user, policy, draft).figures


@dataclass(frozen=True, slots=True)
class _Request:
    """A command that a runtime asked for, with the second opinion it got."""

    command: str
    opinion: Opinion = NO_OPINION


class Recorded:
    """What is on record of some agents since a moment, equal commands counted together."""

    def __init__(self, user: User, agent_ids: list[str], since: datetime) -> None:
        self.unclear = 0
        self.cases: list[Case] = []
        self._runs: dict[tuple[str, Hashable], dict[str, int]] = {}
        asked = Approval.objects.filter(
            kind=ApprovalKind.COMMAND, agent__in=agent_ids, created_at__gte=since, is_canary=False
        )
        self._read_requests(permissions.visible(user, asked).order_by())
        called = ToolCall.objects.filter(tool="process.run", agent__in=agent_ids, at__gte=since)
        self._calls = permissions.visible(user, called).order_by()
        cases, self.things, unclear = tools.cases(self._calls)
        self.cases += cases
        self.unclear += unclear

    def _read_requests(self, rows: QuerySet[Approval]) -> None:
        found: dict[tuple[str, _Request], list[Any]] = {}
        runs: dict[tuple[str, Hashable], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        columns = ("agent_id", "run_id", "subject", "title", "findings", "decided_via", "note", "created_at")
        for agent_id, run_id, subject, title, findings, via, note, at in rows.values_list(*columns).iterator(2_000):
            command = subject.get("command")
            if not isinstance(command, str) or title.startswith(HIDDEN):
                self.unclear += 1
                continue
            key = agent_id, _Request(command, _opinion(findings, via, note))
            held = found.setdefault(key, [0, at])
            held[0], held[1] = held[0] + 1, max(held[1], at)
            runs[key][run_id or ""] += 1
        self.cases += [Case(agent_id, about, count, last) for (agent_id, about), (count, last) in found.items()]
        self._runs = dict(runs)

    def runs(self) -> Iterator[tuple[str, Hashable, str, int]]:
        """In which runs each was recorded, how often."""
        for (agent_id, about), counts in self._runs.items():
            for run_id, count in counts.items():
                yield agent_id, about, run_id, count
        digests = {case.about for case in self.cases if not isinstance(case.about, _Request)}
        yield from tools.runs_of(self._calls, (digest for _, digest in digests))

    def shown(self, about: Any) -> str:
        """The command for people."""
        return about.command if isinstance(about, _Request) else ", ".join(each.value for each in self.things[about][1])


def _opinion(findings: list[dict[str, str]], via: str, note: str) -> Opinion:
    """The second opinion as it is on record beside the request."""
    found = tuple(
        Finding(each["rule"], each["severity"], each["sentence"], "")
        for each in findings
        if str(each.get("rule", "")).startswith("tirith:")
    )
    if not found:
        return NO_OPINION
    if any(each.rule == "tirith:failed" for each in found):
        return Opinion("failed", found)
    was_final = via == VIA_GATE and note == REFUSED.format(why=found[0].sentence)
    return Opinion("block" if was_final else "warn", found)


def ruling_of_request(command: str, opinion: Opinion, gate: Rules, allowed: Callable[[str, bool], bool]) -> Ruling:
    """What becomes of a request of a runtime; ``allowed(key, is_for_operators)`` says whether a person's rule lets it pass."""
    said = gated(command, opinion, gate)
    if said.refused:
        return Ruling(BLOCK, _rule(said.findings), said.refused)
    if said.by_rules and allowed(said.key, said.is_for_operators):
        return Ruling(ALLOW, "", "A rule that a person made allows it.")
    return Ruling(OPERATORS if said.is_for_operators else ASK, _rule(said.findings))


def ruling_of_call(tool: Any, things: list[deciding.Thing], held: list[deciding.Rule], gate: Rules) -> Ruling:
    """What becomes of a call of ``process.run``."""
    said = gating.judged(things, gate)
    verdict = gating.gated(deciding.decide(tool, things, held), said)
    became = _VERDICTS[verdict.tier]
    if became == ASK and said is not None and said.is_for_operators:
        became = OPERATORS
    rule = (
        _rule(said.findings) if said is not None and (verdict.rule == "gate" or became == OPERATORS) else verdict.rule
    )
    return Ruling(became, rule, verdict.reason)


def _rule(findings: Iterable[Finding]) -> str:
    """The one to name: an operator's own before a shipped one."""
    names = [each.rule for each in findings]
    return next((name for name in names if name.startswith("own:")), names[0] if names else "")


def _evaluators(
    recorded: Recorded, policy: Policy | None, draft: tuple[Own, ...]
) -> tuple[foresight.Decide, foresight.Decide]:
    """What judges live, over the rules as they are and with the draft in the place of its scope's."""
    scope = policy.pk if policy else None
    scoped, held = cache(gate_rules.scoped), cache(rules.of)

    def then_of(agent_id: str) -> tuple[Own, ...]:
        others = [rule for where, rule in scoped(agent_id) if where != scope]
        taken = {rule.name for rule in others}
        if clash := next((rule.name for rule in draft if rule.name in taken), ""):
            raise Invalid(f"Another rule is called {clash}.", field="rules", action="Choose another name.")
        return tuple(sorted((*others, *draft), key=lambda rule: rule.name))

    now = cache(lambda agent_id: extended(tuple(rule for _, rule in scoped(agent_id))))
    then = cache(lambda agent_id: extended(then_of(agent_id)))
    allowed = cache(lambda agent_id, key, is_admin: covering(_as_asked(agent_id, key, is_admin)) is not None)

    def by(gate: Callable[[str], Rules]) -> foresight.Decide:
        def decide(case: Case) -> Ruling:
            if isinstance(case.about, _Request):
                passes = lambda key, is_admin: allowed(case.agent_id, key, is_admin)  # noqa: E731
                return ruling_of_request(case.about.command, case.about.opinion, gate(case.agent_id), passes)
            tool, things = recorded.things[case.about]
            return ruling_of_call(tool, things, held(case.agent_id), gate(case.agent_id))

        return decide

    return by(now), by(then)


def _as_asked(agent_id: str, key: str, is_admin: bool) -> Approval:
    tier = Tier.ADMIN if is_admin else Tier.USER
    return Approval(kind=ApprovalKind.COMMAND, agent_id=agent_id, key=key, tier=tier)


def _change(agents: dict[str, Agent], each: Turned, recorded: Recorded, traced: foresight.Traced) -> CommandChange:
    case = each.case
    return CommandChange(
        agents[case.agent_id],
        recorded.shown(case.about)[:300],
        case.count,
        case.last,
        WORDS[each.before.verdict],
        WORDS[each.after.verdict],
        each.rule,
        traced.runs.get((case.agent_id, case.about), ""),
    )
