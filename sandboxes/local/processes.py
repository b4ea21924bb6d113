"""Telling a process from a later one with the same number, and waiting until it is gone.

Standard library only: the keeper uses it too.
"""

from __future__ import annotations

import os
import select
import signal
from typing import Any


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def identity(pid: int) -> dict[str, Any]:
    """What names one process for good: its number and when it started, on this boot. ProcessLookupError if gone."""
    found = _state_and_start(pid)
    if found is None:
        raise ProcessLookupError(pid)
    return {"pid": pid, "started": found[1], "boot": boot_id()}


def _state_and_start(pid: int) -> tuple[str, int] | None:
    try:
        with open(f"/proc/{pid}/stat") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may itself hold spaces and parentheses.
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0], int(fields[19])


def is_running(known: dict[str, Any]) -> bool:
    """Whether that very process still runs; one that only waits to be reaped does not."""
    found = _state_and_start(known["pid"])
    return found is not None and found[0] not in "ZX" and found[1] == known["started"] and boot_id() == known["boot"]


def age_s(known: dict[str, Any]) -> float:
    """How long ago the process started."""
    with open("/proc/uptime") as file:
        return float(file.read().split()[0]) - known["started"] / os.sysconf("SC_CLK_TCK")


def open_pidfd(known: dict[str, Any]) -> int | None:
    """A descriptor that becomes readable when the process ends; None if it already has."""
    try:
        descriptor = os.pidfd_open(known["pid"])
    except ProcessLookupError:
        return None
    # Between looking and opening the number may have changed hands: look once more, now that it is held.
    if is_running(known):
        return descriptor
    os.close(descriptor)
    return None


def kill(known: dict[str, Any]) -> None:
    """SIGKILL that very process. Not an error if it is gone."""
    descriptor = open_pidfd(known)
    if descriptor is None:
        return
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(descriptor)


def wait_gone(known: dict[str, Any], timeout_s: float) -> bool:
    """Wait until the process has ended; False if it has not by then. Blocks."""
    descriptor = open_pidfd(known)
    if descriptor is None:
        return True
    try:
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        return bool(poller.poll(timeout_s * 1000))
    finally:
        os.close(descriptor)
