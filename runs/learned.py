"""From what was recorded to rules: what an agent asked for while it learned, or was refused, as an addition to a policy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from django.db.models import QuerySet
from django.utils import timezone

from agents import learning, policies, rule_lines
from agents.diffing import Piece, words
from agents.models import Agent, Policy, User
from agents.proposing import Asked, LeftOut, propose
from agents.reach import LEARNING, Rule
from agents.reaching import reach_of
from runs.reach import decisions
from sandboxes import what_if
from sandboxes.models import EgressDecision
from sandboxes.what_if import Outcome

Source = Literal["learned", "denied"]
DENIED_DAYS = 7
MOST_KINDS = 2_000
SHOWN_LEFT_OUT = 20


@dataclass(frozen=True, slots=True)
class Proposed:
    """Rules for ``policy``, as it is at its version, what they would change, and what no rule is proposed for."""

    policy: Policy
    source: Source
    rules: tuple[Rule, ...]
    left_out: tuple[LeftOut, ...]
    outcome: Outcome

    @property
    def lines(self) -> list[str]:
        """The proposed rules as people write them."""
        return rule_lines.write(self.whole).splitlines()[len(self.policy.rules) :]

    @property
    def text(self) -> str:
        """The same as one text."""
        return "\n".join(self.lines)

    @property
    def whole(self) -> list[dict[str, Any]]:
        """The policy's rules with the proposed ones behind them."""
        return [*self.policy.rules, *(rule.as_json() for rule in self.rules)]

    @property
    def pieces(self) -> list[Piece]:
        """How the policy's text changes."""
        before = rule_lines.write(self.policy.rules)
        return words(f"{before}\n" if before else "", rule_lines.write(self.whole) + "\n")


def proposed(user: User, agent: Agent, policy: Policy, source: Source) -> Proposed:
    """The smallest rules for what ``user`` may know that the agent asked for. Raises Invalid when the policy would be
    too long."""
    rows = _learned(decisions(user, agent), agent) if source == "learned" else _denied(decisions(user, agent))
    kinds = rows.order_by().values_list("host", "port", "binary").distinct()[:MOST_KINDS]
    taken = [str(rule.get("name")) for rule in policy.rules]
    found = propose((Asked(*kind) for kind in kinds), reach_of(agent), taken)
    whole = policies.clean_rules([*policy.rules, *(rule.as_json() for rule in found.rules)])
    outcome = what_if.replay(user, policy, what_if.drafted(policy, whole))
    return Proposed(policy, source, found.rules, found.left_out[:SHOWN_LEFT_OUT], outcome)


def _learned(rows: QuerySet[EgressDecision], agent: Agent) -> QuerySet[EgressDecision]:
    """What was let through in the last time of learning and led somewhere."""
    row = learning.last(agent.pk)
    if row is None:
        return rows.none()
    span = {"at__gte": row.started_at, "at__lte": row.ended_at or row.until}
    return rows.filter(rule=LEARNING, allowed=True, **span)


def _denied(rows: QuerySet[EgressDecision]) -> QuerySet[EgressDecision]:
    """What no rule named lately. What led into a network of one's own was named by one."""
    since = timezone.now() - timedelta(days=DENIED_DAYS)
    return rows.filter(allowed=False, rule="", at__gte=since).exclude(host="")


def store(user: User, policy: Policy, version: int, lines: Iterable[str]) -> Policy:
    """Add these lines to the policy. Raises NotFound, Stale, Invalid."""
    added = rule_lines.parse_lines(lines, [str(rule.get("name")) for rule in policy.rules])
    return policies.change(user, policy.pk, version, rules=[*policy.rules, *(rule.as_json() for rule in added)])
