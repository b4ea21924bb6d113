"""How much a server may say that nobody asked it: beyond that it is listened to more slowly, so that others are not (pure)."""

from __future__ import annotations

# Messages a second for long, and so many at once. A tool that tells of its progress stays far below.
PER_S, AT_ONCE = 1_000.0, 2_000.0
# The longest it is not listened to at a stretch: answers wait behind what it says.
MOST_S = 2.0


class Unasked:
    """What is left for one server to say."""

    def __init__(self) -> None:
        self._left, self._at = AT_ONCE, 0.0

    def said(self, now: float, count: int = 1) -> float:
        """So many messages more; for how long nothing more should be heard, 0.0 for not at all."""
        self._left = min(AT_ONCE, self._left + (now - self._at) * PER_S) - count
        self._at = now
        return min(MOST_S, -self._left / PER_S) if self._left < 0 else 0.0
