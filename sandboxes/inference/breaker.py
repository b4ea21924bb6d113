"""Leave a provider alone that has failed again and again: refuse at once, and try it with one call now and then.

Without it every run waits out the time limits of a provider that is down, and a provider that comes back slowly
gets all of the traffic at once. Only failures that say something about the provider count: nobody is cut off for a
wrong key, an empty account or a request that was too long.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from agents.errors import Code
from sandboxes.inference.calls import RouteTarget
from sandboxes.inference.failures import Failure

FAILURES_IN_A_ROW = 5
FIRST_PAUSE_S = 15.0
LONGEST_PAUSE_S = 300.0
# A trial that never reports (its run was killed) must not keep the provider closed for ever.
TRIAL_S = 180.0
MOST_PROVIDERS = 1_000

_COUNTED = frozenset({Code.PROVIDER_UNREACHABLE, Code.PROVIDER_TIMEOUT})
_SETBACK = Failure(
    Code.PROVIDER_UNREACHABLE,
    "",
    "Wait, or choose another model route.",
    # Of the 400 class, so that the runtime does not repeat the call meanwhile.
    400,
)


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    pause_s: float = 0.0
    closed_until: float = 0.0
    trial_until: float = 0.0


class Breaker:
    """What is known of every provider this process has called. Used on one event loop."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._circuits: dict[tuple[str, str], _Circuit] = {}

    def refusal(self, target: RouteTarget) -> Failure | None:
        """Why this call is not made, or None: then it is made, and ``note`` must be told what came of it."""
        circuit = self._circuits.get(_provider(target))
        if circuit is None or not circuit.pause_s:
            return None
        now = self._now()
        left = max(circuit.closed_until, circuit.trial_until) - now
        if left > 0:
            return replace(
                _SETBACK,
                sentence=f"The model provider failed {circuit.failures} times in a row and is left alone for a moment; "
                f"it is tried again in {left:.0f} s.",
            )
        circuit.trial_until = now + TRIAL_S
        return None

    def note(self, target: RouteTarget, failure: Failure | None) -> None:
        """What came of a call. An answer of any kind shows that the provider is there."""
        if failure is None or (failure.code not in _COUNTED and failure.code != Code.CANCELLED):
            self._circuits.pop(_provider(target), None)
            return
        if len(self._circuits) >= MOST_PROVIDERS:
            self._circuits.clear()
        circuit = self._circuits.setdefault(_provider(target), _Circuit())
        circuit.trial_until = 0.0
        if failure.code == Code.CANCELLED:  # tells nothing; the next call may try
            return
        circuit.failures += 1
        if circuit.failures >= FAILURES_IN_A_ROW:
            circuit.pause_s = min(circuit.pause_s * 2, LONGEST_PAUSE_S) or FIRST_PAUSE_S
            circuit.closed_until = self._now() + circuit.pause_s

    def failing(self) -> dict[str, float]:
        """The addresses that are left alone now, and for how many seconds yet."""
        now = self._now()
        return {key[1]: each.closed_until - now for key, each in self._circuits.items() if each.closed_until > now}


def _provider(target: RouteTarget) -> tuple[str, str]:
    return target.kind, target.base_url
