"""``manage.py doctor``: every finding with its fix, an exit code that tells, nothing changed by asking."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from agents.models import ModelRoute
from logos_site import probes
from logos_site.up.lock import Lock
from sandboxes import drivers
from sandboxes.driver import Check
from tests.fakes import FakeDriver

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _well(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    """A machine on which everything mandatory is there."""
    monkeypatch.setitem(drivers.FACTORIES, "fake", FakeDriver)
    monkeypatch.setattr(settings, "LOGOS_SANDBOX_DRIVER", "fake")
    monkeypatch.setattr(probes, "agent_runtime", lambda: Check("agent runtime", True, "hermes"))
    if "sqlite" in settings.DATABASES["default"]["ENGINE"]:
        os.chmod(settings.DATABASES["default"]["NAME"], 0o600)


def doctor(*words: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("doctor", *words, stdout=out)
    except SystemExit as ended:
        return int(str(ended.code)), out.getvalue()
    return 0, out.getvalue()


def test_a_machine_that_has_everything_is_well(route: ModelRoute) -> None:
    code, said = doctor()

    assert code == 0, said
    assert "Everything needed is there." in said
    assert "FAIL" not in said


def test_what_is_not_mandatory_is_a_note_with_its_fix() -> None:
    code, said = doctor()

    assert code == 0
    assert "note  model                  no model route yet" in said
    assert "first-run link" in said


def test_a_mandatory_fault_is_exit_code_1_and_its_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "disk", lambda: Check("disk", False, "3 MB free", "Free some space."))

    code, said = doctor()

    assert code == 1
    assert "FAIL  disk                   3 MB free" in said
    assert "Free some space." in said
    assert "Something that Logos needs is missing." in said


def test_json_has_the_same_and_one_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "disk", lambda: Check("disk", False, "3 MB free", "Free some space."))

    code, said = doctor("--json")

    found = json.loads(said)
    assert (code, found["ok"]) == (1, False)
    names = [check["name"] for check in found["checks"]]
    assert {"Python", "state directory", "secrets", "database", "migrations", "isolation", "running"} <= set(names)
    assert [check["fix"] for check in found["checks"] if check["name"] == "disk"] == ["Free some space."]


def test_an_unknown_driver_is_a_finding_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "LOGOS_SANDBOX_DRIVER", "nope")

    code, said = doctor()

    assert code == 1
    assert "There is no sandbox driver called nope." in said


@pytest.mark.parametrize("name", ["secrets/key", "logs", "first_run"])
def test_a_secret_that_others_can_read_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    monkeypatch.setattr(settings, "LOGOS_HOME", tmp_path)
    (tmp_path / "secrets").mkdir(mode=0o700)
    assert probes.secret_files().ok

    (tmp_path / name).touch()
    (tmp_path / name).chmod(0o640)

    check = probes.secret_files()
    assert not check.ok
    assert check.fix == f"chmod go= {tmp_path / name}"


def test_while_up_runs_engine_and_background_work_are_asked_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(settings, "LOGOS_HOME", tmp_path)
    tmp_path.chmod(0o700)
    lock = Lock(tmp_path, "http://127.0.0.1:8091/")
    lock.take()

    _, said = doctor()

    lock.release()
    assert "http://127.0.0.1:8091/" in said
    assert "FAIL  engine" in said
    assert "FAIL  background work" in said


def test_asking_a_fresh_directory_makes_no_database(
    clean_environment: dict[str, str], walkable_dir: Path, run_command: Callable[..., str]
) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "doctor", "--json"],
        env={**clean_environment, "LOGOS_HOME": str(walkable_dir), "LOGOS_SANDBOX_DRIVER": "none"},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert not list(walkable_dir.glob("*.sqlite3"))
    assert {check["name"]: check["detail"] for check in json.loads(done.stdout)["checks"]}["database"] == "not made yet"
