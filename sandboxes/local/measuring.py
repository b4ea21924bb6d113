"""What the processes of one sandbox use, read from /proc: all of them descend from its PID 1."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator

from sandboxes.driver import Usage

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MIB = 1 << 20


def usage(init: int) -> Usage | None:
    """Of the process and everything below it; None when it is gone."""
    ticks, parents = {}, defaultdict(list)
    for pid, parent, used in _processes():
        ticks[pid] = used
        parents[parent].append(pid)
    if init not in ticks:
        return None
    family, found = [init], 0
    while found < len(family):
        family.extend(parents[family[found]])
        found += 1
    memory = sum(map(_memory_bytes, family))
    return Usage(sum(ticks[pid] for pid in family) / _TICKS_PER_S, memory / _MIB, len(family))


def _processes() -> Iterator[tuple[int, int, int]]:
    """Number, parent, and processor ticks (its own and of children it has waited for) of every process."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue  # gone by now
        yield int(entry), int(fields[1]), sum(map(int, fields[11:15]))


def _memory_bytes(pid: int) -> int:
    """Its share of what it has in memory; where the kernel does not let us see that, what is its alone."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        with open(f"/proc/{pid}/statm") as file:
            fields = file.read().split()
    except OSError:
        return 0
    return (int(fields[1]) - int(fields[2])) * _PAGE_BYTES
