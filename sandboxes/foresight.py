"""Recorded cases decided anew, as they are and with a draft: the pure half of the time machine.

Whoever knows a kind of rule hands in the live evaluator twice, over the rules as they are and over the draft. Equal
cases are decided once and counted, so that a million of them cost no more than the kinds there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

# ``OPERATORS``: asked, and not of the person whose run it is.
ALLOW, ASK, OPERATORS, BLOCK = "allow", "ask", "operators", "block"
MOST_SHARES = 20


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of recorded decision: of which agent, about what, how often, when last."""

    agent_id: str
    about: Any  # whatever can be compared and hashed
    count: int = 1
    last: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of a case: allow, ask or block; the rule that says so, and the reason."""

    verdict: str
    rule: str = ""
    reason: str = ""


Decide = Callable[[Case], Ruling]


@dataclass(frozen=True, slots=True)
class Turned:
    """One case under both: what holds now and what the draft makes of it."""

    case: Case
    before: Ruling
    after: Ruling

    @property
    def differs(self) -> bool:
        return self.before.verdict != self.after.verdict

    @property
    def rule(self) -> str:
        """The rule that made the difference: the draft's, or the one that is gone."""
        return self.after.rule or self.before.rule


@dataclass(frozen=True, slots=True)
class Share:
    """How much of what changes belongs to one rule, agent or person."""

    name: str
    newly_blocked: int = 0
    newly_asked: int = 0
    newly_allowed: int = 0
    newly_admin: int = 0

    @property
    def total(self) -> int:
        return self.newly_blocked + self.newly_asked + self.newly_allowed + self.newly_admin


@dataclass(slots=True)
class Totals:
    """Decisions counted by what they were and would be."""

    by_change: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))

    def add(self, turned: Turned) -> None:
        self.by_change[turned.before.verdict, turned.after.verdict] += turned.case.count

    @property
    def decisions(self) -> int:
        return sum(self.by_change.values())

    def newly(self, verdict: str) -> int:
        """Decisions that become ``verdict`` and were another."""
        return sum(count for (before, after), count in self.by_change.items() if after == verdict != before)

    def no_longer(self, verdict: str) -> int:
        """Decisions that were ``verdict`` and become another."""
        return sum(count for (before, after), count in self.by_change.items() if before == verdict != after)

    def still(self, verdict: str) -> int:
        return self.by_change.get((verdict, verdict), 0)


def turn(cases: Iterable[Case], now: Decide, then: Decide) -> list[Turned]:
    """Every case under both."""
    return [Turned(case, now(case), then(case)) for case in cases]


def totals(turned: Iterable[Turned]) -> Totals:
    found = Totals()
    for each in turned:
        found.add(each)
    return found


def shares(counted: Iterable[tuple[str, str, int]]) -> tuple[Share, ...]:
    """(name, what it becomes, how often) summed by name, the largest first."""
    sums: dict[str, dict[str, int]] = defaultdict(lambda: {ALLOW: 0, ASK: 0, OPERATORS: 0, BLOCK: 0})
    for name, verdict, count in counted:
        sums[name][verdict] += count
    found = [Share(name, each[BLOCK], each[ASK], each[ALLOW], each[OPERATORS]) for name, each in sums.items()]
    return tuple(sorted(found, key=lambda share: (-share.total, share.name))[:MOST_SHARES])


def by_rule(turned: Iterable[Turned]) -> tuple[Share, ...]:
    return shares((each.rule or "no rule", each.after.verdict, each.case.count) for each in turned if each.differs)


def by_agent(turned: Iterable[Turned], names: Mapping[str, str]) -> tuple[Share, ...]:
    return shares((names[each.case.agent_id], each.after.verdict, each.case.count) for each in turned if each.differs)


class Figures(Protocol):
    """What a room above tells of a draft of its own kind: rows for a table, a sentence, and whether it is stricter."""

    @property
    def head(self) -> tuple[str, ...]: ...
    @property
    def rows(self) -> list[tuple[Any, ...]]: ...
    @property
    def sentence(self) -> str: ...
    @property
    def is_stricter(self) -> bool: ...


# Rooms above try drafts of their own for ``what-if``: by the option, (who asks, the name, the draft, days) -> figures.
DRAFTS: dict[str, Callable[[Any, str, str, int], Figures]] = {}

# Rooms above tell who asked for runs: (reader, run ids) -> the name of each run's person, where the reader sees the run.
ASKED_BY: list[Callable[[object, Iterable[str]], Mapping[str, str]]] = []


@dataclass(frozen=True, slots=True)
class Traced:
    """The runs behind changed cases: the last of each case that the reader sees, and shares by person."""

    runs: Mapping[tuple[str, Hashable], str]
    people: tuple[Share, ...]


def trace(reader: object, turned: Iterable[Turned], rows: Iterable[tuple[str, Hashable, str, int]]) -> Traced:
    """``rows``: (agent id, about, run id, count) of the changed cases. What belongs to no run, or to one the reader
    does not see, is nobody's."""
    verdicts = {(each.case.agent_id, each.case.about): each.after.verdict for each in turned if each.differs}
    found = [row for row in rows if (row[0], row[1]) in verdicts]
    names: dict[str, str] = {}
    for ask in ASKED_BY:
        names.update(ask(reader, {run_id for _, _, run_id, _ in found if run_id}))
    runs: dict[tuple[str, Hashable], str] = {}
    for agent_id, about, run_id, _ in found:
        if run_id in names:
            runs[agent_id, about] = max(run_id, runs.get((agent_id, about), ""))
    people = shares(
        (names.get(run_id, "nobody you see"), verdicts[agent_id, about], count)
        for agent_id, about, run_id, count in found
    )
    return Traced(runs, people)
