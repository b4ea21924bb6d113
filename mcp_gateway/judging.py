"""What becomes of a call of a server's tool, by the rules that hold for every tool, and how often each was made.

The rules and what decides by them are those of ``sandboxes.tool_server``; nothing here is a rule of its own.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mcp_gateway.book import Served
from mcp_gateway.rates import Before
from sandboxes.tool_server import deciding, outside
from sandboxes.tool_server.catalogue import Rates, Tool
from sandboxes.tool_server.deciding import Rule, Verdict
from sandboxes.tool_server.tiers import Tier

MINUTE_S, HOUR_S = 60, 3_600
# Tools of agents whose rules are kept read.
MOST_KNOWN = 10_000


class Judge:
    """Judges calls in memory: the rules come with the book, what was counted before a restart from ``remember``."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._made: dict[tuple[str, str], Made] = {}
        self._known: dict[tuple[str, str], Known] = {}

    def judge(self, agent_id: str, served: Served, tool: str, arguments: Any, rules: Sequence[Rule]) -> Verdict:
        """The verdict on this call, which counts from now on as made."""
        name = outside.name_of(served.name, tool)
        known = self._known.get((agent_id, name))
        if known is None or known.tier != served.calls or known.rules != tuple(rules):
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            known = self._known[agent_id, name] = read(name, served.calls, tuple(rules))
        verdict = known.verdict or deciding.decide(known.tool, outside.things(arguments), known.fitting)
        if known.rates == outside.UNLIMITED:
            return verdict
        made = self._made.setdefault((agent_id, name), Made())
        return deciding.with_rates(verdict, known.rates, *made.count(self._now()))

    def basis(self, served: Served, tool: str, rules: Sequence[Rule]) -> tuple[Any, ...]:
        """All that a verdict on this tool comes from, but for how often it was called."""
        about = outside.tool(outside.name_of(served.name, tool))
        return (served.calls, *(rule for rule in rules if deciding.is_about(rule, about)))

    def remember(self, before: Iterable[Before]) -> None:
        """What another process counted, the oldest first; what was counted here is known already."""
        known, now = set(self._made), self._now()
        for each in before:
            if (key := (each.agent_id, each.tool)) not in known:
                self._made.setdefault(key, Made()).add(now - each.ago_s, each.count)


@dataclass(frozen=True, slots=True)
class Known:
    """What ``rules`` say of one tool of an agent, whatever its arguments: which of them are about it, how often it may be
    called, and the verdict, where no argument matters to it."""

    rules: tuple[Rule, ...]
    tier: str
    tool: Tool
    fitting: tuple[Rule, ...]
    rates: Rates
    verdict: Verdict | None


def read(name: str, tier: str, rules: tuple[Rule, ...]) -> Known:
    """The rules read for one tool; ``tier`` is what becomes of its calls without any."""
    tool = outside.tool(name, Tier(tier))
    fitting = tuple(rule for rule in rules if deciding.is_about(rule, tool))
    verdict = None if any(rule.condition for rule in fitting) else deciding.decide(tool, [], fitting)
    return Known(rules, tier, tool, fitting, deciding.rates_of(tool, fitting), verdict)


class Made:
    """How often something was done in the last minute and hour, by the second."""

    def __init__(self) -> None:
        self._minute, self._hour = Lately(MINUTE_S), Lately(HOUR_S)

    def add(self, now: float, count: int = 1) -> None:
        """So many more."""
        for each in (self._minute, self._hour):
            each.add(int(now), count)

    def count(self, now: float) -> tuple[int, int]:
        """Once more; how often in the last minute and hour, this one included."""
        self.add(now)
        return self._minute.sum, self._hour.sum


class Lately:
    """A sum over the last so many seconds, kept while it changes: a busy hour is not added up anew at every call."""

    def __init__(self, span_s: int) -> None:
        self._span_s = span_s
        self._seconds: deque[list[int]] = deque()
        self.sum = 0

    def add(self, second: int, count: int) -> None:
        """So many more, in a second that is not before the last one."""
        if self._seconds and self._seconds[-1][0] >= second:
            self._seconds[-1][1] += count
        else:
            self._seconds.append([second, count])
        self.sum += count
        while self._seconds[0][0] <= second - self._span_s:
            self.sum -= self._seconds.popleft()[1]
