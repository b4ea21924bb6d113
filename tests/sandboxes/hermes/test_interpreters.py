"""Choosing a Python for the runtime, and copying one that sandboxes cannot see."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sandboxes.hermes import interpreters
from sandboxes.hermes.interpreters import Interpreter


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_python_that_runs_these_tests_describes_itself() -> None:
    found = interpreters.ask(Path(sys.executable))

    if sys.version_info[:2] > interpreters.NEWEST:
        assert found is None
    else:
        assert found is not None
        assert found.version == sys.version_info[:3]
        assert found.prefix == Path(sys.base_prefix)


@pytest.mark.parametrize(
    "text",
    [
        "exit 1",
        "echo not json",
        """echo '[[3, 10, 1], "/usr", "cpython"]'""",
        """echo '[[3, 14, 0], "/usr", "cpython"]'""",
        """echo '[[3, 12, 0], "/usr", "pypy"]'""",
    ],
)
def test_what_does_not_fit_is_passed_over(tmp_path: Path, text: str) -> None:
    bad = script(tmp_path / "bad", text)
    good = script(tmp_path / "good", """echo '[[3, 12, 4], "/usr", "cpython"]'""")

    assert interpreters.ask(bad) is None
    chosen = interpreters.choose([tmp_path / "missing", bad, good])
    assert chosen == Interpreter(good, Path("/usr"), (3, 12, 4))


def test_the_distributions_python_is_preferred() -> None:
    listed = list(interpreters.candidates())

    assert all(str(path).startswith("/usr/") for path in listed[:-1])


@pytest.mark.parametrize(
    ("path", "prefix", "mounted"),
    [
        ("/usr/bin/python3.12", "/usr", True),
        ("/usr/local/bin/python3.12", "/usr/local", True),
        ("/opt/python/bin/python3", "/opt/python", False),
        ("/usr/bin/python3", "/opt/python", False),
    ],
)
def test_only_what_lies_below_usr_is_seen_by_every_sandbox(path: str, prefix: str, mounted: bool) -> None:
    assert Interpreter(Path(path), Path(prefix), (3, 12, 0)).is_mounted is mounted


def test_a_copied_interpreter_runs_and_can_be_read_by_others(tmp_path: Path) -> None:
    source = interpreters.ask(Path(sys.executable))
    if source is None or source.prefix == Path("/usr"):
        pytest.skip("the Python of these tests is the distribution's; nothing would be copied")

    interpreters.copy_prefix(source, tmp_path / "copy")

    python = tmp_path / "copy" / source.path.relative_to(source.prefix)
    code = "import sys, ssl, sqlite3, venv; print(sys.version_info[:2])"
    answer = subprocess.run([python, "-I", "-S", "-c", code], capture_output=True, text=True, check=True, env={})
    assert answer.stdout.strip() == str(source.version[:2])
    assert not list((tmp_path / "copy").rglob("site-packages"))
    closed = [p for p in (tmp_path / "copy").rglob("*") if not p.is_symlink() and not p.stat().st_mode & 0o004]
    assert closed == []
