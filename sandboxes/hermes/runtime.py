"""The pinned agent runtime: where it is installed, how it is found, and what of it a sandbox must see.

``find`` is cheap and is asked before every start; ``install`` may take a minute and is asked by ``up``.
The runtime is built beside its final place and renamed, and a stamp is written last, so an installation
that was cut off is never found and the next ``install`` repairs it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agents.errors import LogosError
from sandboxes.driver import Mount
from sandboxes.hermes import installation, interpreters
from sandboxes.hermes.interpreters import Interpreter

VERSION = "0.19.0"
PACKAGES = (f"hermes-agent[anthropic,mcp]=={VERSION}", "aiohttp==3.14.1")
LOCK = Path(__file__).with_name("runtime.lock")
# Other packages are another environment: sandboxes that run keep the one they have mounted.
NAME = f"hermes-{VERSION}-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:8]}"
STAMP = "logos-runtime.json"

VENV_INSIDE = "/run/hermes/venv"
PYTHON_INSIDE = f"{VENV_INSIDE}/bin/python"
NEEDED_MB = 700  # 230 MB installed, as much again while packages are unpacked, and room to spare


class RuntimeMissing(LogosError):
    """The agent runtime is not installed, or could not be."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """An installed runtime. ``python`` is the interpreter the environment is built on, as the host names it;
    ``mounts`` are what a sandbox needs to see, all read-only."""

    version: str
    venv: Path
    python: Path
    mounts: tuple[Mount, ...]


def find(home: Path) -> Runtime | None:
    """The installed runtime below the state directory, or None if ``install`` has work to do.

    Starts no process. None also when the interpreter below it has gone (a distribution upgrade)."""
    venv = home / "runtime" / NAME
    try:
        stamp = json.loads((venv / STAMP).read_text())
        if stamp["lock"] != _lock_digest() or not (venv / "bin/python").is_symlink():
            return None
        python, prefix, copy = Path(stamp["python"]), stamp["prefix"], stamp["copy"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    mounts = [Mount(venv, VENV_INSIDE)]
    if copy:
        source = home / "runtime" / copy
        mounts.append(Mount(source, prefix))
        if not (source / python.relative_to(prefix)).exists():
            return None
    elif not python.exists():
        return None
    return Runtime(VERSION, venv, python, tuple(mounts))


def require(home: Path) -> Runtime:
    """The installed runtime. RuntimeMissing(reason="runtime_missing") if there is none."""
    runtime = find(home)
    if runtime is None:
        raise RuntimeMissing(
            "The agent runtime is not installed yet.", reason="runtime_missing", action="Run ./logos up to install it."
        )
    return runtime


def install(home: Path, progress: Callable[[str], None] = lambda line: None) -> Runtime:
    """Install the runtime unless it is there already, and return it. Blocks; call it from a thread.

    Several processes may call it at once: one works, the others wait for it. ``progress`` gets one plain
    sentence at a time. Raises RuntimeMissing(reason="runtime_install_failed") with the fix as ``action``.
    """
    if found := find(home):
        return found
    try:
        top = _make_top(home)
        with _only_one(top, progress):
            if found := find(home):
                return found
            _build(top, progress)
    except installation.Failed as failed:
        raise _missing(failed) from failed
    except OSError as error:
        raise _missing(installation.explain(str(error))) from error
    runtime = find(home)
    if runtime is None:
        raise RuntimeMissing(
            "The agent runtime was installed but cannot be read back.",
            reason="runtime_install_failed",
            detail=f"no valid stamp in {top / NAME}",
            action=f"Remove {top / NAME} and run ./logos up again.",
        )
    return runtime


def _missing(failed: installation.Failed) -> RuntimeMissing:
    return RuntimeMissing(
        failed.message, reason="runtime_install_failed", detail=failed.detail, action=failed.action, permanent=False
    )


def _build(top: Path, progress: Callable[[str], None]) -> None:
    _check_room(top)
    interpreter = interpreters.choose()
    if interpreter is None:
        raise installation.Failed(
            "No Python 3.11, 3.12 or 3.13 was found for the agent runtime.",
            action="Install one from your distribution, for instance: apt install python3.12",
        )
    copy = None
    if not interpreter.is_mounted:
        copy = f"python-{'.'.join(map(str, interpreter.version))}"
        progress(f"Copying Python {interpreter.version[0]}.{interpreter.version[1]} to where sandboxes can read it")
        interpreters.copy_prefix(interpreter, top / copy)
    partial, final = top / f"{NAME}.partial", top / NAME
    shutil.rmtree(partial, ignore_errors=True)
    try:
        installation.make(partial, interpreter, LOCK, progress)
        interpreters.open_to_readers(partial)
        _stamp(partial, interpreter, copy)
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # what failed may be what filled the disk
    progress(f"The agent runtime hermes-agent {VERSION} is installed")


def _stamp(venv: Path, interpreter: Interpreter, copy: str | None) -> None:
    stamp = {
        "packages": PACKAGES,
        "lock": _lock_digest(),
        "python": str(interpreter.path),
        "python_version": ".".join(map(str, interpreter.version)),
        "prefix": str(interpreter.prefix),
        "copy": copy,
    }
    (venv / STAMP).write_text(json.dumps(stamp, indent=2) + "\n")
    (venv / STAMP).chmod(0o644)


def _lock_digest() -> str:
    return hashlib.sha256(LOCK.read_bytes()).hexdigest()


def _make_top(home: Path) -> Path:
    top = home / "runtime"
    top.mkdir(parents=True, exist_ok=True)
    top.chmod(0o755)
    if os.geteuid() == 0 and (closed := first_closed(top)):
        raise installation.Failed(
            f"Sandboxes run as users of their own and cannot pass through {closed}.",
            action=f"Run: chmod o+x {closed} (or set LOGOS_HOME to a directory everybody can enter).",
        )
    return top


def first_closed(path: Path) -> Path | None:
    """The first directory on the way to ``path`` that other users cannot enter."""
    way = [*reversed(path.parents), path]
    return next((directory for directory in way if not directory.stat().st_mode & 0o001), None)


def _check_room(top: Path) -> None:
    free_mb = shutil.disk_usage(top).free >> 20
    if free_mb < NEEDED_MB:
        raise installation.Failed(
            f"The agent runtime needs {NEEDED_MB} MB and the disk has {free_mb} MB left.",
            action=f"Free some space on the disk of {top}, or set LOGOS_HOME to a directory on another one.",
        )


@contextlib.contextmanager
def _only_one(top: Path, progress: Callable[[str], None]) -> Iterator[None]:
    with (top / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("Another process is installing the agent runtime; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    install(Path(sys.argv[1]), lambda line: print(line, flush=True))  # noqa: T201
