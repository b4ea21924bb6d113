"""Finding, stamping and repairing the installed runtime, with a stand-in for the installer program."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sandboxes.hermes import installation, interpreters, runtime
from sandboxes.hermes.interpreters import Interpreter

UV_OFFLINE = """error: Failed to fetch: `https://index.example/simple/aiohttp/`
  Caused by: client error (Connect)
  Caused by: dns error: failed to lookup address information"""
UV_FULL = "error: Failed to install: rich-14.3.3-py3-none-any.whl\n  Caused by: No space left on device (os error 28)"
UV_HASH = "error: Hash mismatch for `aiohttp==3.14.1`\n\nExpected:\n  sha256:aa"
PIP_OFFLINE = "Retrying after connection broken by 'NewConnectionError(...)'\nERROR: No matching distribution found"
UV_UNKNOWN = "  x No solution found when resolving dependencies"
VENV = "The virtual environment was not created successfully because ensurepip is not available."

FAKE_UV = """#!/bin/sh
echo "$@" >> "$FAKE_UV_LOG"
case "$1" in
  venv) for last; do :; done; mkdir -p "$last/bin"; ln -s "$PYTHON" "$last/bin/python"; umask > "$last/umask" ;;
  pip) [ -z "$FAKE_UV_FAILS" ] || { echo "$FAKE_UV_FAILS"; exit 1; } ;;
esac
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory, with a program in uv's place that makes a skeleton at once."""
    uv = tmp_path / "uv"
    uv.write_text(FAKE_UV)
    uv.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("UV", str(uv))
    monkeypatch.setenv("FAKE_UV_LOG", str(tmp_path / "uv.log"))
    monkeypatch.setenv("PYTHON", "/usr/bin/python3")
    monkeypatch.delenv("FAKE_UV_FAILS", raising=False)
    monkeypatch.setattr(runtime, "first_closed", lambda path: None)
    monkeypatch.setattr(interpreters, "choose", lambda: Interpreter(Path("/usr/bin/python3"), Path("/usr"), (3, 11, 2)))
    return home


def commands(home: Path) -> list[str]:
    log = home.parent / "uv.log"
    return log.read_text().splitlines() if log.exists() else []


def test_nothing_is_found_before_it_is_installed(tmp_path: Path) -> None:
    assert runtime.find(tmp_path) is None

    with pytest.raises(runtime.RuntimeMissing) as caught:
        runtime.require(tmp_path)
    assert (caught.value.reason, caught.value.action) == ("runtime_missing", "Run ./logos up to install it.")


def test_an_installation_is_found_again_and_not_repeated(home: Path) -> None:
    lines: list[str] = []

    installed = runtime.install(home, lines.append)

    assert installed == runtime.find(home) == runtime.require(home)
    assert installed.venv == home / "runtime" / runtime.NAME
    assert [(mount.target, mount.writable) for mount in installed.mounts] == [("/run/hermes/venv", False)]
    assert lines[-1] == "The agent runtime hermes-agent 0.19.0 is installed"
    assert len(commands(home)) == 2

    assert runtime.install(home, lines.append) == installed
    assert len(commands(home)) == 2


def test_every_package_comes_from_the_lock_with_its_digest_and_is_compiled(home: Path) -> None:
    runtime.install(home)

    venv, install = commands(home)
    assert "--relocatable" in venv
    assert "--compile-bytecode" in install
    assert f"--require-hashes -r {runtime.LOCK}" in install


def test_other_users_can_read_it_whatever_the_umask(home: Path) -> None:
    before = os.umask(0o077)
    try:
        installed = runtime.install(home)
    finally:
        os.umask(before)

    assert (installed.venv / "umask").read_text().strip() == "0022"
    for path in (home / "runtime", installed.venv, installed.venv / "bin"):
        assert path.stat().st_mode & 0o005 == 0o005
    assert (installed.venv / runtime.STAMP).stat().st_mode & 0o004


@pytest.mark.parametrize(
    "damage",
    [
        lambda venv: (venv / runtime.STAMP).unlink(),
        lambda venv: (venv / runtime.STAMP).write_text("{"),
        lambda venv: (venv / runtime.STAMP).write_text("[]"),
        lambda venv: (venv / runtime.STAMP).write_text(json.dumps({"lock": "of another version"})),
        lambda venv: (venv / "bin/python").unlink(),
    ],
)
def test_a_damaged_installation_is_not_found_and_is_repaired(home: Path, damage: Callable[[Path], object]) -> None:
    installed = runtime.install(home)
    damage(installed.venv)
    assert runtime.find(home) is None

    assert runtime.install(home) == installed


def test_an_interpreter_that_went_away_means_a_new_installation(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime.install(home)
    stamp = home / "runtime" / runtime.NAME / runtime.STAMP
    stamp.write_text(json.dumps({**json.loads(stamp.read_text()), "python": "/usr/bin/python3.0"}))

    assert runtime.find(home) is None


def test_what_was_cut_off_half_way_is_swept_away(home: Path) -> None:
    partial = home / "runtime" / f"{runtime.NAME}.partial"
    (partial / "lib").mkdir(parents=True)
    (partial / "lib/old.py").write_text("old")

    installed = runtime.install(home)

    assert not partial.exists()
    assert not (installed.venv / "lib/old.py").exists()


def test_a_failure_leaves_nothing_that_would_be_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_UV_FAILS", UV_OFFLINE)

    with pytest.raises(runtime.RuntimeMissing) as caught:
        runtime.install(home)

    assert caught.value.reason == "runtime_install_failed"
    assert caught.value.message == "The package index could not be reached."
    assert "dns error" in caught.value.detail
    assert runtime.find(home) is None
    assert sorted(path.name for path in (home / "runtime").iterdir()) == [".lock"]


def test_two_at_once_install_it_once(home: Path) -> None:
    installed: list[runtime.Runtime] = []
    threads = [threading.Thread(target=lambda: installed.append(runtime.install(home))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(installed) == 4
    assert len(commands(home)) == 2


def test_without_a_fitting_python_the_fix_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "choose", lambda: None)

    with pytest.raises(runtime.RuntimeMissing, match=r"No Python 3\.11, 3\.12 or 3\.13") as caught:
        runtime.install(home)

    assert "apt install python3" in caught.value.action


def test_too_small_a_disk_is_noticed_before_anything_is_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "NEEDED_MB", 10**9)

    with pytest.raises(runtime.RuntimeMissing, match="the disk has"):
        runtime.install(home)

    assert commands(home) == []


def test_a_state_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(runtime.RuntimeMissing) as caught:
        runtime.install(tmp_path / "file" / "home")

    assert caught.value.reason == "runtime_install_failed"


def test_the_first_directory_that_others_cannot_enter_is_named() -> None:
    # pytest's own temporary directories are closed to others, so they would be the answer.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        closed = Path(name)
        inner = closed / "state"
        inner.mkdir(mode=0o755)

        assert runtime.first_closed(inner) == closed
        closed.chmod(0o711)
        assert runtime.first_closed(inner) is None


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        (UV_OFFLINE, "The package index could not be reached."),
        (PIP_OFFLINE, "The package index could not be reached."),
        (UV_FULL, "The disk filled up while the agent runtime was installed."),
        (UV_HASH, "A downloaded package is not the one Logos was tested with, so it was refused."),
        (UV_UNKNOWN, "The package index does not offer a package the agent runtime needs."),
        (VENV, "Neither uv nor Python's venv module is usable here."),
        ("error: Permission denied (os error 13)", "The agent runtime's directory is not writable."),
        ("Segmentation fault", "The agent runtime could not be installed."),
        ("", "The agent runtime could not be installed."),
    ],
)
def test_what_an_installer_prints_becomes_one_sentence(output: str, sentence: str) -> None:
    failed = installation.explain(output)

    assert failed.message == sentence
    assert failed.action


def test_the_lock_pins_exactly_the_packages_we_name() -> None:
    lock = runtime.LOCK.read_text()

    for package in runtime.PACKAGES:
        name, version = package.split("==")
        assert f"\n{name.split('[')[0]}=={version}" in lock.replace("[mcp]", "")
    assert "://" not in lock
    pinned = [block for block in lock.split("\n") if "==" in block and not block.startswith("#")]
    assert lock.count("--hash=sha256:") > len(pinned)
    assert all(line.rstrip().endswith("\\") for line in pinned)
