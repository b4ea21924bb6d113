"""What the machine lacks is said with the exact fix, and nothing is started without it."""

from __future__ import annotations

import ast
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sandboxes.driver import SandboxError
from sandboxes.local import bwrap, doctor, machine, selftest
from sandboxes.local.driver import LocalDriver
from tests.sandboxes.local_specs import local_spec

LOCAL = Path(bwrap.__file__).parent
Patch = pytest.MonkeyPatch


def no_bubblewrap(patch: Patch, directory: Path) -> None:
    patch.setattr(machine.shutil, "which", lambda *_, **__: None)


def setuid_bubblewrap(patch: Patch, directory: Path) -> None:
    fake_bubblewrap(patch, directory, "bubblewrap 0.11.0").chmod(0o4755)


def ancient_bubblewrap(patch: Patch, directory: Path) -> None:
    fake_bubblewrap(patch, directory, "bubblewrap 0.3.1")


def fake_bubblewrap(patch: Patch, directory: Path, version: str) -> Path:
    path = directory / "bwrap"
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    patch.setattr(machine.shutil, "which", lambda *_, **__: str(path))
    return path


def no_linux(patch: Patch, directory: Path) -> None:
    patch.setattr(sys, "platform", "darwin")


def wsl_1(patch: Patch, directory: Path) -> None:
    patch.setattr(platform, "release", lambda: "4.4.0-19041-Microsoft")


def unknown_machine(patch: Patch, directory: Path) -> None:
    patch.setattr(platform, "machine", lambda: "riscv64")


def no_python(patch: Patch, directory: Path) -> None:
    patch.setattr(bwrap, "PYTHON", "/usr/bin/no-such-python3")


LACKS: list[tuple[Callable[[Patch, Path], None], str, str]] = [
    (no_bubblewrap, "bubblewrap_missing", "apt-get install bubblewrap"),
    (setuid_bubblewrap, "bubblewrap_setuid", "chmod u-s"),
    (ancient_bubblewrap, "bubblewrap_old", "apt-get install bubblewrap"),
    (no_linux, "not_linux", "virtual machine"),
    (wsl_1, "wsl1", "wsl --set-version"),
    (unknown_machine, "unknown_machine", "aarch64, x86_64"),
    (no_python, "python_missing", "apt-get install python3"),
]


@pytest.mark.parametrize(("lack", "reason", "fix"), LACKS)
async def test_a_start_without_it_is_refused_with_the_fix(
    lack: Callable[[Patch, Path], None], reason: str, fix: str, monkeypatch: Patch, tmp_path: Path
) -> None:
    lack(monkeypatch, tmp_path)

    with pytest.raises(SandboxError) as refused:
        await LocalDriver().start(local_spec(tmp_path))

    assert refused.value.reason == reason
    assert fix in refused.value.action
    assert not (tmp_path / "atlas").exists()


@pytest.mark.parametrize(("lack", "reason", "fix"), LACKS)
async def test_the_doctor_names_it_with_the_fix(
    lack: Callable[[Patch, Path], None], reason: str, fix: str, monkeypatch: Patch, tmp_path: Path
) -> None:
    lack(monkeypatch, tmp_path)

    failed = [check for check in await LocalDriver().doctor() if not check.ok and check.mandatory]

    assert len(failed) == 1
    assert fix in failed[0].fix
    assert failed[0].detail.endswith(".")


def test_wsl_2_and_a_plain_kernel_are_linux(monkeypatch: Patch) -> None:
    for release in ("5.15.90.1-microsoft-standard-WSL2", "6.1.0-18-amd64"):
        monkeypatch.setattr(platform, "release", lambda found=release: found)
        assert machine.require_linux() == f"Linux {release}"


def test_a_kernel_without_landlock_is_no_obstacle(monkeypatch: Patch) -> None:
    monkeypatch.setattr(doctor.landlock, "abi", lambda: 0)

    check = doctor._landlock()

    assert (check.ok, check.mandatory) == (False, False)
    assert "lsm=" in check.fix


@pytest.mark.sandbox
async def test_the_doctor_starts_a_real_sandbox() -> None:
    checks = await LocalDriver().doctor()

    assert checks[-1].name == "a sandbox starts"
    assert "seccomp" in checks[-1].detail


@pytest.mark.parametrize(
    ("marks", "wrong"),
    [
        ({}, {}),
        ({"Seccomp": "0"}, {"Seccomp": "0"}),
        ({"NoNewPrivs": "0"}, {"NoNewPrivs": "0"}),
        ({"CapEff": "00000000a80425fb"}, {"CapEff": "00000000a80425fb"}),
        ({"CapBnd": "0000000000000400"}, {"CapBnd": "0000000000000400"}),
    ],
)
def test_the_self_test_reads_the_marks_of_a_process(marks: dict[str, str], wrong: dict[str, str]) -> None:
    good = {"Seccomp": "2", "NoNewPrivs": "1"} | dict.fromkeys(("CapEff", "CapPrm", "CapBnd", "CapAmb"), "0" * 16)

    assert selftest.wrong_marks({**good, **marks}) == wrong


def test_the_self_test_fails_outside_a_sandbox() -> None:
    with pytest.raises(selftest.WallMissing):
        selftest.check()


def imports_of(module: str) -> set[str]:
    tree = ast.parse((LOCAL / f"{module}.py").read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{a.name}" if node.module == "sandboxes.local" else node.module or "" for a in
                      node.names}  # fmt: skip
    return found


@pytest.mark.parametrize("module", bwrap.PID1_MODULES)
def test_what_runs_as_pid_1_needs_nothing_but_python_3_9(module: str) -> None:
    ours = {f"sandboxes.local.{name}" for name in bwrap.PID1_MODULES}

    ast.parse((LOCAL / f"{module}.py").read_text(), feature_version=(3, 9))
    assert {name.split(".")[0] for name in imports_of(module) - ours} <= sys.stdlib_module_names


KEEPERS = ["keeper", "switchboard", "launch", "processes", "wire", "kernel", "groups", "guard", "usage"]


@pytest.mark.parametrize("module", KEEPERS)
def test_the_keeper_needs_nothing_but_the_standard_library(module: str) -> None:
    ours = {f"sandboxes.local.{name}" for name in KEEPERS}

    assert {name.split(".")[0] for name in imports_of(module) - ours} <= sys.stdlib_module_names
