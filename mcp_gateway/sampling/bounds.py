"""What one server may ask of a model, and why a question is refused (pure but for the clock)."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

# What a server may ask at once, whatever it may in a minute.
AT_ONCE = 16
# Rounds of a call where the server has no number of its own.
ROUNDS = 10
MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Sampling:
    """A server may ask this model, so much and so often; ``person_id`` pays for what no agent asked. ``among`` are the
    routes and names of all it may choose from, this one first; none: it chooses nothing."""

    route_id: str = ""
    max_tokens: int = 1024
    timeout_s: float = 60.0
    rpm: int = 10
    rounds: int = ROUNDS
    tool_rounds: int = 0
    person_id: int | None = None
    among: tuple[tuple[str, str], ...] = ()


class Refused(Exception):
    """No model is asked, or it did not answer. ``why`` is a word for programs, the text a sentence for the server and the
    agent; ``detail`` says more to the people of the house."""

    def __init__(self, why: str, sentence: str, detail: str = "") -> None:
        super().__init__(sentence)
        self.why, self.detail = why, detail


def off(server: str) -> Refused:
    """Nobody has lent this server a model."""
    return Refused("off", f"Logos lends no model to the MCP server {server}.")


class Pace:
    """How often each server has asked within the last minute."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._asked: dict[str, deque[float]] = {}

    def take(self, server_id: str, rpm: int) -> None:
        """One more question. Raises Refused beyond ``rpm`` of a minute; what is refused does not count."""
        asked, now = self._asked.setdefault(server_id, deque()), self._now()
        while asked and asked[0] <= now - MINUTE_S:
            asked.popleft()
        if len(asked) >= rpm:
            left = max(1, round(asked[0] + MINUTE_S - now))
            raise Refused("rate", f"It has asked {rpm} times within a minute, and may not more. Try in {left} seconds.")
        asked.append(now)
