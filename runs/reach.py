"""What an agent may reach and what it asked for, as far as somebody may know.

Who may see everything of an agent's network sees every decision; others see those of runs they may see. A decision
that belongs to no certain run may be anybody's, so it is not for the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from django.db.models import BooleanField, Case, Count, Max, QuerySet, Value, When
from django.urls import reverse

from agents import permissions, reaching, rule_lines
from agents.actions import ACTIONS
from agents.catalogue import CATALOGUE, Capability
from agents.errors import Invalid
from agents.models import Agent, Policy, Preset, User
from agents.reach import Rule, parse, place
from agents.standing import reasons
from runs.models import Run
from sandboxes.egress import usage
from sandboxes.models import EgressDecision

# Denials are grouped among so many of the newest.
LOOKED_AT = 500
SHOWN_DENIED = 10


@dataclass(frozen=True, slots=True)
class Line:
    """One rule as a line, and when it last decided something (None: not as far as records go back)."""

    text: str
    name: str
    last: datetime | None


@dataclass(frozen=True, slots=True)
class Included:
    """A preset in a policy, its page, and when it was last needed there."""

    name: str
    url: str
    last: datetime | None


@dataclass(frozen=True, slots=True)
class Source:
    """Where rules stand: a policy or a capability, its page, and whether the person may change it."""

    name: str
    url: str
    lines: tuple[Line, ...]
    policy: Policy | None = None
    may_edit: bool = False
    presets: tuple[Included, ...] = ()


@dataclass(slots=True)
class Denied:
    """A host that was refused, by how many connections, and where to allow it ("" when the person may not)."""

    host: str
    port: int
    binary: str
    reason: str
    last: datetime
    count: int = 0
    propose: str = ""

    @property
    def line(self) -> str:
        """The smallest rule that would allow it."""
        port = "" if self.port == 443 else f" : {self.port}"
        return f"{self.host}{port}{f' by {self.binary}' if self.binary else ''}"


@dataclass(frozen=True, slots=True)
class Overview:
    """What the page tells beside the list of connections. ``hides``: there are policies the person may not see."""

    sources: list[Source]
    hides: bool
    denied: list[Denied]
    unused: list[usage.Usage]


def sees_all(user: User, agent: Agent) -> bool:
    """May the person see every decision about this agent?"""
    return bool(reasons(ACTIONS["egress.view"], permissions.standing_of(user, agent)))


def decisions(user: User, agent: Agent, all_of_it: bool | None = None) -> QuerySet[EgressDecision]:
    """The decisions about one agent, which ``user`` may see, that the person may see. ``all_of_it`` says that it was
    asked already whether they see all."""
    rows = EgressDecision.objects.filter(agent=agent)
    if sees_all(user, agent) if all_of_it is None else all_of_it:
        return rows
    own = permissions.visible(user, Run.objects.filter(agent=agent)).order_by()
    return rows.filter(run_id__in=own.values("pk"))


def overview(user: User, agent: Agent, rows: QuerySet[EgressDecision]) -> Overview:
    """Where the agent's rules stand, which of the decisions in ``rows`` were refusals that a rule could have allowed,
    and what was never needed. Four queries."""
    held, hides = _held(user, agent)
    granted = {entry.key: [_rule(entry, named) for named in entry.hosts] for entry in agent.agreed_capabilities()}
    labels = [label for each in held for label in usage.labels_of(each.policy, each.presets)]
    labels += [rule.label for rules in granted.values() for rule in rules]
    last, refused = _facts(labels, rows)
    sources = [_of_policy(each, last) for each in held]
    url = reverse("agents:agent-capabilities", args=[agent.pk])
    for key, rules in granted.items():
        lines = tuple(Line(_host_of(rule), rule.name, last.get(rule.label)) for rule in rules)
        sources += [Source(CATALOGUE[key].name, url, lines)] if lines else []
    editable = [each for each in held if each.may_edit]
    return Overview(
        sources,
        hides,
        _denied(user, refused, editable[0].policy if editable else None),
        usage.unused_of(
            [each.policy for each in editable],
            included={each.policy.pk: each.presets for each in editable},
            last=last,
        ),
    )


@dataclass(slots=True)
class _Held:
    """A policy of the agent that the person may see, and the presets it includes."""

    policy: Policy
    may_edit: bool
    presets: list[Preset] = field(default_factory=list)


_PARTS = ("pk", "name", "version", "rules", "presets__pk", "presets__name", "presets__rules", "is_seen", "may_edit")


def _held(user: User, agent: Agent) -> tuple[list[_Held], bool]:
    """Those the person may see, by name, and whether there are others. One query for policies and presets."""
    own = Policy.objects.filter(agents=agent)
    flags = {
        name: Case(
            When(pk__in=permissions.visible(user, Policy.objects.all(), action).order_by().values("pk"), then=True),
            default=False,
            output_field=BooleanField(),
        )
        for name, action in (("is_seen", "policy.view"), ("may_edit", "policy.edit"))
    }
    found: dict[str, _Held] = {}
    hides = False
    rows = own.annotate(**flags).order_by("name", "presets__name")
    for pk, name, version, rules, preset, preset_name, preset_rules, is_seen, may_edit in rows.values_list(*_PARTS):
        if not is_seen:
            hides = True
            continue
        each = found.setdefault(pk, _Held(Policy(pk=pk, name=name, version=version, rules=rules), may_edit))
        if preset is not None:
            each.presets.append(Preset(pk=preset, name=preset_name, rules=preset_rules))
    return list(found.values()), hides


def _facts(labels: list[str], rows: QuerySet[EgressDecision]) -> tuple[dict[str, datetime], list[Denied]]:
    """When these rules were last matched, by anybody, and the kinds of refusals among the newest of ``rows``. One
    query, though of two kinds."""
    newest = rows.filter(allowed=False, rule="").exclude(host="").order_by("-pk").values("pk")[:LOOKED_AT]
    kinds = EgressDecision.objects.filter(pk__in=newest).order_by().values("host", "port", "binary")
    refused = kinds.annotate(last=Max("at"), count=Count("pk"), why=Max("reason"))
    matched = usage.matched(labels).annotate(
        is_port=Value(0), is_binary=Value(""), count=Value(0), why=Value(""), is_refusal=Value(0)
    )
    columns = ("host", "port", "binary", "last", "count", "why", "is_refusal")
    as_refusals = refused.annotate(is_refusal=Value(1)).values_list(*columns)
    as_matches = matched.values_list("rule", "is_port", "is_binary", *columns[3:])
    last, found = {}, []
    for text, port, binary, at, count, why, is_refusal in as_refusals.union(as_matches, all=True):
        if is_refusal:
            found.append(Denied(text, port, binary, why, at, count))
        else:
            last[text] = at
    return last, sorted(found, key=lambda each: each.last, reverse=True)


def _denied(user: User, refused: Iterable[Denied], editable: Policy | None) -> list[Denied]:
    """The hosts that were refused lately and that a rule could allow, the newest first."""
    answer = list(islice((each for each in refused if _is_rule(each.line)), SHOWN_DENIED))
    for each in answer:
        each.propose = _where(user, editable, each.line)
    return answer


def _where(user: User, policy: Policy | None, line: str) -> str:
    if policy is not None:
        return f"{reverse('agents:policy-detail', args=[policy.pk])}?{urlencode({'add': line})}"
    if permissions.may(user, "policy.create"):
        return f"{reverse('agents:policy-new')}?{urlencode({'add': line})}"
    return ""


def _of_policy(held: _Held, last: Mapping[str, datetime]) -> Source:
    policy = held.policy
    lines = _lines(policy.rules, policy.pk, last)
    presets = tuple(
        Included(preset.name, reverse("agents:preset-detail", args=[preset.pk]), _newest(policy, preset, last))
        for preset in held.presets
    )
    url = reverse("agents:policy-detail", args=[policy.pk])
    return Source(policy.name, url, lines, policy, held.may_edit, presets)


def _lines(written: Any, stands_in: str, last: Mapping[str, datetime]) -> tuple[Line, ...]:
    try:
        rules: tuple[Any, ...] = parse(written)
        texts = rule_lines.write(written).split("\n") if rules else []
    except Invalid:
        rules, texts = (), []
    return tuple(
        Line(text, rule.name, last.get(f"{stands_in}/{rule.name}")) for text, rule in zip(texts, rules, strict=True)
    )


def _newest(policy: Policy, preset: Preset, last: Mapping[str, datetime]) -> datetime | None:
    """When any rule of the preset was last needed through this policy."""
    stands_in = place(policy.pk, preset.pk)
    return max((at for line in _lines(preset.rules, stands_in, last) if (at := line.last)), default=None)


def _rule(entry: Capability, named: str) -> Rule:
    return Rule(named, (named,), policy=f"{reaching.CAPABILITY}{entry.key}")


def _host_of(rule: Rule) -> str:
    return f"the address in {rule.name[1:]}" if rule.name.startswith("$") else rule.name


def _is_rule(line: str) -> bool:
    """No rule could allow an address or a name of this network, so none is offered."""
    try:
        return bool(rule_lines.parse_lines([line]))
    except Invalid:
        return False
