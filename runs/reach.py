"""What an agent may reach and what it asked for, as far as somebody may know.

Who may see everything of an agent's network sees every decision; others see those of runs they may see. A decision
that belongs to no certain run may be anybody's, so it is not for the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.urls import reverse

from agents import permissions, reaching, rule_lines
from agents.catalogue import CATALOGUE
from agents.errors import Invalid
from agents.models import Agent, Policy, User
from agents.reach import Rule, parse
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
class Source:
    """Where rules stand: a policy or a capability, its page, and whether the person may change it."""

    name: str
    url: str
    lines: tuple[Line, ...]
    policy: Policy | None = None
    may_edit: bool = False


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


def sees_all(user: User, agent: Agent) -> bool:
    """May the person see every decision about this agent?"""
    return bool(reasons(permissions.ACTIONS["egress.view"], permissions.standing_of(user, agent)))


def decisions(user: User, agent: Agent) -> QuerySet[EgressDecision]:
    """The decisions about one agent, which ``user`` may see, that the person may see."""
    rows = EgressDecision.objects.filter(agent=agent)
    if sees_all(user, agent):
        return rows
    own = permissions.visible(user, Run.objects.filter(agent=agent)).order_by()
    return rows.filter(run_id__in=own.values("pk"))


def sources(user: User, agent: Agent) -> tuple[list[Source], bool]:
    """Where the agent's rules stand, and whether there are policies the person may not see."""
    held = list(agent.policies.order_by("name"))
    seen = set(permissions.visible(user, Policy.objects.filter(agents=agent)).values_list("pk", flat=True))
    mine = set(
        permissions.visible(user, Policy.objects.filter(agents=agent), "policy.edit").values_list("pk", flat=True)
    )
    granted = [rule for rule in reaching.rules_of(agent) if rule.policy.startswith(reaching.CAPABILITY)]
    labels = [rule.label for rule in granted]
    labels += [f"{policy.pk}/{rule.get('name')}" for policy in held if policy.pk in seen for rule in policy.rules]
    last = usage.last_matched(labels)
    found = [_of_policy(policy, last, policy.pk in mine) for policy in held if policy.pk in seen]
    by_capability: dict[str, list[Rule]] = {}
    for rule in granted:
        by_capability.setdefault(rule.policy.removeprefix(reaching.CAPABILITY), []).append(rule)
    url = reverse("agents:agent-capabilities", args=[agent.pk])
    for key, rules in by_capability.items():
        lines = tuple(Line(_host_of(rule), rule.name, last.get(rule.label)) for rule in rules)
        found.append(Source(CATALOGUE[key].name, url, lines))
    return found, len(seen) < len(held)


def denied(user: User, rows: QuerySet[EgressDecision], found: Iterable[Source]) -> list[Denied]:
    """The hosts that were refused lately and that a rule could allow, the newest first."""
    editable = next((each.policy for each in found if each.may_edit and each.policy), None)
    newest = rows.filter(allowed=False, rule="").exclude(host="").order_by("-pk")[:LOOKED_AT]
    groups: dict[tuple[str, int, str], Denied] = {}
    for row in newest:
        about = (row.host, row.port, row.binary)
        each = groups.setdefault(about, Denied(*about, row.reason, row.at))
        each.count += 1
    answer = [each for each in groups.values() if _is_rule(each.line)][:SHOWN_DENIED]
    for each in answer:
        each.propose = _where(user, editable, each.line)
    return answer


def _where(user: User, policy: Policy | None, line: str) -> str:
    if policy is not None:
        return f"{reverse('agents:policy-detail', args=[policy.pk])}?{urlencode({'add': line})}"
    if permissions.may(user, "policy.create"):
        return f"{reverse('agents:policy-new')}?{urlencode({'add': line})}"
    return ""


def _of_policy(policy: Policy, last: dict[str, datetime], may_edit: bool) -> Source:
    try:
        rules: tuple[Any, ...] = parse(policy.rules)
        texts = rule_lines.write(policy.rules).split("\n") if rules else []
    except Invalid:
        rules, texts = (), []
    lines = tuple(
        Line(text, rule.name, last.get(f"{policy.pk}/{rule.name}")) for text, rule in zip(texts, rules, strict=True)
    )
    return Source(policy.name, reverse("agents:policy-detail", args=[policy.pk]), lines, policy, may_edit)


def _host_of(rule: Rule) -> str:
    return f"the address in {rule.name[1:]}" if rule.name.startswith("$") else rule.name


def _is_rule(line: str) -> bool:
    """No rule could allow an address or a name of this network, so none is offered."""
    try:
        return bool(rule_lines.parse_lines([line]))
    except Invalid:
        return False
