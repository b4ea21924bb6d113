"""Who holds a lease or a claim: a process by host, number and start, so that a dead holder need not be waited for."""

from __future__ import annotations

import os
import socket

from sandboxes.local.processes import boot_id


def process_name() -> str:
    """This process. Its start is part of the name, so a number the system uses again is somebody else's."""
    return f"{host()}:{os.getpid()}:{_started_at(os.getpid())}"


def is_dead(name: str) -> bool:
    """Has this process of this host ended? False for processes of other hosts, whose end we cannot see."""
    where, pid, started = ([*name.rsplit(":", 2), "", ""])[:3]
    if where != host() or not pid.isdigit():
        return False
    return _started_at(int(pid)) != started


def host() -> str:
    """This machine, as names of processes begin."""
    return socket.gethostname()[:30]


def _started_at(pid: int) -> str:
    """When a process began: clock ticks and which start of the machine they count from, since numbers and ticks come
    again after the next one. "" when there is none, or only its remains."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else f"{fields[19]}.{boot_id()[:8]}"
