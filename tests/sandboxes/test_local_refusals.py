"""Machines that cannot hold a sandbox, made for real: what bubblewrap says there becomes the right sentence and fix."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sandboxes.driver import SandboxError
from sandboxes.local import diagnosis, machine

pytestmark = pytest.mark.sandbox

BWRAP = ["bwrap", "--unshare-all", "--unshare-user", "--ro-bind", "/usr", "/usr", "/usr/bin/true"]
PROJECT = Path(__file__).resolve().parents[2]


def words_of(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=240)
    assert done.returncode != 0
    return done.stderr


def test_where_no_user_namespaces_are_left() -> None:
    """The limit of a user namespace of our own, so that the machine's stays as it is."""
    script = f"echo 0 > /proc/sys/user/max_user_namespaces && exec {' '.join(BWRAP)}"

    problem = diagnosis.explain(words_of("unshare", "--user", "--map-root-user", "sh", "-c", script))

    assert problem.reason in ("userns_limit", "userns_off")
    assert "namespaces" in problem.message
    assert "sysctl" in problem.action


def test_where_a_filter_forbids_namespaces_as_containers_do() -> None:
    filtered = (
        "import os, platform, sys; sys.path.insert(0, sys.argv[1]); from sandboxes.local import seccomp; "
        "seccomp.install(platform.machine()); os.execvp(sys.argv[2], sys.argv[2:])"
    )

    problem = diagnosis.explain(words_of(sys.executable, "-c", filtered, str(PROJECT), *BWRAP))

    assert problem.reason == "userns_off"
    assert "container" in problem.action


def test_a_set_user_id_bubblewrap_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = shutil.which("bwrap")
    assert found is not None
    copy = tmp_path / "bwrap"
    shutil.copyfile(found, copy)
    copy.chmod(0o4755)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SandboxError) as refused:
        machine.require_bubblewrap()

    assert refused.value.reason == "bubblewrap_setuid"
    assert refused.value.action == f"chmod u-s,g-s {copy}"
