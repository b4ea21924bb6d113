"""What a run's sandbox asked the network for, as events: the first time at once, repetitions counted by the second."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from agents.reach import LEARNING
from runs.recorder import Recorder
from sandboxes.egress.proxy import Decision

# A loop that asks all day is one line a second, and no run records more than this many.
TOGETHER_S = 1.0
MOST_EVENTS = 2_000

Key = tuple[str, int, str, bool, str]


@dataclass(slots=True)
class _Held:
    data: dict[str, Any]
    count: int = 0


class Reached:
    """Turns decisions into ``egress`` events of one run. Used on the engine's event loop; never blocks."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._held: dict[Key, _Held] = {}
        self._told = 0
        self._has_learned = False

    def add(self, decision: Decision) -> None:
        """Take a decision; the same one again within a second only adds to the next event."""
        key = (decision.host, decision.port, decision.binary, decision.allowed, decision.reason)
        if (held := self._held.get(key)) is not None:
            held.count += 1
            return
        if decision.rule == LEARNING and not self._has_learned:
            self._has_learned = True
            text = "The agent learns: what no rule names is let through to the open internet, and recorded."
            self._recorder.emit("note", {"text": text})
        held = self._held[key] = _Held(_data(decision))
        self._emit(held.data, 1)
        asyncio.get_running_loop().call_later(TOGETHER_S, self._release, key)

    def flush(self) -> None:
        """Tell what is held; the run ends."""
        for key in list(self._held):
            self._release(key)

    def _release(self, key: Key) -> None:
        held = self._held.pop(key, None)
        if held is not None and held.count:
            self._emit(held.data, held.count)

    def _emit(self, data: dict[str, Any], count: int) -> None:
        self._told += 1
        if self._told < MOST_EVENTS:
            self._recorder.emit("egress", {**data, "count": count})
        elif self._told == MOST_EVENTS:
            self._recorder.emit("note", {"text": "It asked for more connections than a run may record."})


def _data(decision: Decision) -> dict[str, Any]:
    return {
        "host": decision.host,
        "port": decision.port,
        "method": decision.method,
        "binary": decision.binary,
        "decision": "allowed" if decision.allowed else "denied",
        "rule": decision.rule,
        "reason": decision.reason,
    }
