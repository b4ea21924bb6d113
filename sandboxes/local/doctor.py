"""What ``manage.py doctor`` asks about the local sandbox, down to starting a real one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from sandboxes.driver import Check, SandboxDriver, SandboxError, SandboxSpec
from sandboxes.local import diagnosis, groups, landlock, machine

TRIAL_UID = 65534  # "nobody": as root the trial runs like an agent, without root's rights
_MODULES_OF_PID1 = "ctypes, json, select, socket, array, resource, signal"


async def examine(driver: SandboxDriver) -> list[Check]:
    checks = [
        _asked("Linux", machine.require_linux),
        _asked("processor", machine.require_known_machine),
        _asked("bubblewrap", _bubblewrap),
        _asked("Python for the sandbox", _python),
        _landlock(),
        _limits(),
    ]
    if all(check.ok for check in checks if check.mandatory):
        checks.append(await _trial(driver))
    return checks


def _asked(name: str, question: Callable[[], str]) -> Check:
    try:
        return Check(name, True, question())
    except SandboxError as problem:
        return Check(name, False, problem.message, problem.action)


def _bubblewrap() -> str:
    found = machine.require_bubblewrap()
    return f"{'.'.join(map(str, found.version))} at {found.path}"


def _python() -> str:
    python = machine.require_python()
    try:
        trial = [python, "-I", "-S", "-c", f"import {_MODULES_OF_PID1}, sys; assert sys.version_info >= (3, 9)"]
        done = subprocess.run(trial, capture_output=True, text=True, timeout=30, env={}, check=False)
    except subprocess.TimeoutExpired:
        raise diagnosis.explain(f"{python} does not answer") from None
    if "AssertionError" in done.stderr:
        raise SandboxError(
            f"{python} is older than 3.9.", reason="python_old", action="Upgrade the distribution to a supported one."
        )
    if done.returncode:
        raise diagnosis.explain(done.stderr)
    return python


def _landlock() -> Check:
    try:
        abi = landlock.abi()
    except OSError as problem:
        return Check("Landlock", False, str(problem), mandatory=False)
    if abi:
        return Check("Landlock", True, f"ABI {abi}", mandatory=False)
    fix = "Add landlock to the kernel's lsm= boot parameter, or use a kernel of 5.13 or newer."
    return Check("Landlock", False, "not in this kernel; the other walls stand without it", fix, mandatory=False)


def _limits() -> Check:
    found = groups.places()
    missing = [resource for controller, resource in groups.RESOURCES.items() if controller not in found]
    version = next(iter(found.values())).version if found else 0
    if not missing:
        return Check("limits", True, f"control groups, version {version}", mandatory=False)
    return Check(
        "limits",
        False,
        f"no control group for {', '.join(missing)}; a guard bounds memory and files, nothing bounds processor time",
        "Under systemd, add Delegate=yes to the service. See docs/operating.md, “What a sandbox may use”.",
        mandatory=False,
    )


async def _trial(driver: SandboxDriver) -> Check:
    """A real sandbox, with its self-test, started and stopped."""
    directory = Path(tempfile.mkdtemp(prefix="logos-doctor-"))
    try:
        spec = SandboxSpec("doctor", directory / "trial", uid=TRIAL_UID if os.geteuid() == 0 else None)
        handle = await driver.start(spec)
        await driver.stop(handle.state, now=True)
    except SandboxError as problem:
        return Check("a sandbox starts", False, problem.message, problem.action)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return Check("a sandbox starts", True, f"walls: {', '.join(handle.layers)}")
