"""What becomes of a call of a server's tool, by the rules that hold for every tool, and how often each was made.

The rules and what decides by them are those of ``sandboxes.tool_server``; nothing here is a rule of its own.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from mcp_gateway.book import Served
from mcp_gateway.rates import Before
from sandboxes.tool_server import deciding, outside
from sandboxes.tool_server.deciding import Rule, Verdict
from sandboxes.tool_server.tiers import Tier

MINUTE_S, HOUR_S = 60, 3_600


class Judge:
    """Judges calls in memory: the rules come with the book, what was counted before a restart from ``remember``."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._made: dict[tuple[str, str], Made] = {}

    def judge(self, agent_id: str, served: Served, tool: str, arguments: Any, rules: Sequence[Rule]) -> Verdict:
        """The verdict on this call, which counts from now on as made."""
        if not rules:
            return _without_rules(outside.name_of(served.name, tool), served.calls)
        about = outside.tool(outside.name_of(served.name, tool), Tier(served.calls))
        verdict = deciding.decide(about, outside.things(arguments), rules)
        rates = deciding.rates_of(about, rules)
        if rates == outside.UNLIMITED:
            return verdict
        made = self._made.setdefault((agent_id, about.name), Made())
        return deciding.with_rates(verdict, rates, *made.count(self._now()))

    def remember(self, before: Iterable[Before]) -> None:
        """What another process counted, the oldest first; what was counted here is known already."""
        known, now = set(self._made), self._now()
        for each in before:
            if (key := (each.agent_id, each.tool)) not in known:
                self._made.setdefault(key, Made()).add(now - each.ago_s, each.count)


@lru_cache(maxsize=4096)
def _without_rules(name: str, calls: str) -> Verdict:
    """Nothing but the tier of its category, and no rates."""
    return deciding.decide(outside.tool(name, Tier(calls)), [], [])


class Made:
    """How often something was done in the last minute and hour, by the second."""

    def __init__(self) -> None:
        self._seconds: deque[list[int]] = deque()

    def add(self, now: float, count: int = 1) -> int:
        """So many more; which second it was."""
        second = int(now)
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1][1] += count
        else:
            self._seconds.append([second, count])
        return second

    def count(self, now: float) -> tuple[int, int]:
        """Once more; how often in the last minute and hour, this one included."""
        second = self.add(now)
        while self._seconds[0][0] <= second - HOUR_S:
            self._seconds.popleft()
        minute = sum(count for at, count in self._seconds if at > second - MINUTE_S)
        return minute, sum(count for _, count in self._seconds)
