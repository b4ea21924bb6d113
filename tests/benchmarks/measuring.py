"""What the benchmarks share: a state directory that goes away, percentiles, goals, and how figures are printed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path


@contextlib.contextmanager
def fresh_home() -> Iterator[Path]:
    """A state directory for this process and its children; Django is set up on it and the database is there."""
    home = Path(tempfile.mkdtemp(prefix="logos-benchmark-", dir="/var/tmp"))
    home.chmod(0o755)
    for name in [name for name in os.environ if name.startswith("LOGOS_") and not name.startswith("LOGOS_TEST_")]:
        del os.environ[name]
    os.environ |= {"LOGOS_HOME": str(home), "LOGOS_LOG_LEVEL": "WARNING"}
    os.environ["DJANGO_SETTINGS_MODULE"] = "logos_site.settings"
    import django
    from django.core.management import call_command

    try:
        django.setup()
        call_command("migrate", verbosity=0)
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def rss_mb(pid: int) -> float:
    """The resident memory of a process, shared pages counted whole."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def pss_mb(pid: int) -> float:
    """The memory of a process with shared pages divided by their users: sums of it are true."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) / 1024 for line in rollup.splitlines() if line.startswith("Pss:"))


def report(figures: Mapping[str, float], goals: Mapping[str, tuple[str, float]], *, as_json: bool) -> None:
    """Print every goal, whether it is reached, and the figures as JSON when asked for."""
    print()  # noqa: T201
    for name, (sign, goal) in goals.items():
        reached = figures[name] <= goal if sign == "<=" else figures[name] >= goal
        print(f"{'reached' if reached else 'MISSED ':8} {name} = {figures[name]:,.2f} (goal {sign} {goal:,g})")  # noqa: T201
    if as_json:
        print(json.dumps({name: round(value, 3) for name, value in figures.items()}))  # noqa: T201
