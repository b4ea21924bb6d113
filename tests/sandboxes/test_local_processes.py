"""A process is told from a later one with its number."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sandboxes.local import processes


def test_a_running_process_is_itself() -> None:
    assert processes.is_running(processes.identity(os.getpid()))


@pytest.mark.parametrize("change", [{"started": 1}, {"boot": "another"}])
def test_the_same_number_at_another_time_is_somebody_else(change: dict[str, object]) -> None:
    known = {**processes.identity(os.getpid()), **change}

    assert not processes.is_running(known)
    assert processes.open_pidfd(known) is None
    assert processes.wait_gone(known, 0)
    processes.kill(known)  # and we live on


def test_a_process_that_only_waits_to_be_reaped_is_not_running() -> None:
    child = subprocess.Popen(["sleep", "100"])
    known = processes.identity(child.pid)
    assert not processes.wait_gone(known, 0.01)

    processes.kill(known)

    assert processes.wait_gone(known, 60)
    assert not processes.is_running(known)
    child.wait()
    assert processes.wait_gone(known, 0)


def test_a_name_with_parentheses_does_not_confuse() -> None:
    comm = Path("/proc/self/comm")
    before = comm.read_text()
    comm.write_text("a) Z 1 (b")
    try:
        assert processes.is_running(processes.identity(os.getpid()))
    finally:
        comm.write_text(before)


def test_nobody_has_no_identity() -> None:
    with pytest.raises(ProcessLookupError):
        processes.identity(2**22 + 1)
