"""What the processes of one sandbox use, for the driver: the processes and memory as the keeper counts them, and time."""

from __future__ import annotations

import os

from sandboxes.driver import Usage
from sandboxes.local.usage import descendants, proportional

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_MIB = 1 << 20


def usage(init: int) -> Usage | None:
    """Of the process and everything below it; None when it is gone."""
    ticks = {pid: _ticks(pid) for pid in (init, *descendants(init))}
    if ticks[init] is None:
        return None
    family = {pid: used for pid, used in ticks.items() if used is not None}  # the others are gone by now
    return Usage(sum(family.values()) / _TICKS_PER_S, sum(map(proportional, family)) / _MIB, len(family))


def _ticks(pid: int) -> int | None:
    """Processor time, its own and of the children it has waited for; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return sum(map(int, file.read().rpartition(")")[2].split()[11:15]))
    except OSError:
        return None
