"""When agents were last at work: what rooms above know of it, asked before a sandbox is stopped for being idle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Use:
    """Whether an agent works right now, and when it last did."""

    is_busy: bool = False
    last_at: datetime | None = None


# Each gets agents' ids and a moment, and tells of those that work or have worked since then.
WITNESSES: list[Callable[[Sequence[str], datetime], Mapping[str, Use]]] = []


def uses(agent_ids: Sequence[str], since: datetime) -> dict[str, Use]:
    """What is known of each agent; an agent nobody knows anything of has not worked since then."""
    found = {agent_id: Use() for agent_id in agent_ids}
    for witness in WITNESSES:
        for agent_id, use in witness(agent_ids, since).items():
            known = found[agent_id]
            times = [at for at in (known.last_at, use.last_at) if at is not None]
            found[agent_id] = Use(known.is_busy or use.is_busy, max(times, default=None))
    return found
