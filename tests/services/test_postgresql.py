"""The rows of Logos on a real PostgreSQL: the same tests, another database."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from tests.ports import free_port

pytestmark = [pytest.mark.services, pytest.mark.timeout(1500)]  # hundreds of tests in one, on slow machines too

# What leans on the database itself: constraints, races between threads, JSON, unions, claims and leases.
SUBJECTS = (
    "tests/agents/test_permission_table.py",
    "tests/agents/test_permission_leaks.py",
    "tests/agents/test_explaining.py",
    "tests/agents/test_sharing.py",
    "tests/agents/test_composition.py",
    "tests/agents/test_routes.py",
    "tests/agents/test_souls.py",
    "tests/runs/test_starting.py",
    "tests/runs/test_starting_twice.py",
    "tests/runs/test_event_chain.py",
    "tests/runs/test_event_cleaning.py",
    "tests/runs/test_approval_kinds.py",
    "tests/runs/test_approval_quorum.py",
    "tests/runs/test_approval_rules.py",
    "tests/runs/test_approvals.py",
    "tests/runs/test_approvals_who.py",
    "tests/runs/test_settling.py",
    "tests/runs/test_work.py",
    "tests/runs/test_history.py",
    "tests/runs/budgets/test_ledger.py",
    "tests/runs/reviewing",
    "tests/channels_app",
    "tests/logos_site/test_account_lockout.py",
    "tests/logos_site/test_account_sessions.py",
)


def programs() -> Path:
    """The directory of the newest PostgreSQL server's programs."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """The address of a server of our own, on a free port of this machine, gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="logos-pg-", dir="/var/tmp"))
    # The server refuses to run as root.
    user: dict[str, object] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    if user:
        shutil.chown(home, "postgres", "postgres")
    port = free_port()
    bin_ = programs()

    def run(*words: str) -> None:
        subprocess.run(words, check=True, cwd=home, stdout=subprocess.DEVNULL, **user)  # type: ignore[call-overload]

    run(str(bin_ / "initdb"), "-D", "data", "-U", "logos", "--auth=trust", "--no-sync")
    quick = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={home} -c fsync=off"
    run(str(bin_ / "pg_ctl"), "-D", "data", "-w", "-l", "log", "-o", quick, "start")
    try:
        yield f"postgresql://logos@127.0.0.1:{port}/postgres"
    finally:
        run(str(bin_ / "pg_ctl"), "-D", "data", "-m", "immediate", "stop")
        shutil.rmtree(home, ignore_errors=True)


def test_what_leans_on_the_database_holds_on_postgresql(postgresql: str) -> None:
    # No options of the outer run: it may be one of several workers.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "LOGOS_"))}
    environment = {**kept, "LOGOS_TEST_DATABASE_URL": postgresql}

    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *SUBJECTS],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1400,
    )

    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
    assert " passed" in ended.stdout
