"""Build the runtime's environment with uv, or with venv and pip where uv is missing, and say why it failed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sandboxes.hermes.interpreters import Interpreter

DEADLINE_S = 1200.0
HEARTBEAT_S = 5.0
DETAIL_CHARS = 4000


class Failed(Exception):
    """The environment could not be built: one sentence, the fix, and what the tool printed."""

    def __init__(self, message: str, *, action: str, detail: str = "") -> None:
        super().__init__(message)
        self.message, self.action, self.detail = message, action, detail


@dataclass(frozen=True, slots=True)
class Reason:
    """What an installer prints when something is wrong, and what to tell the person."""

    pattern: str
    message: str
    action: str


# The most telling first; the first that matches is told.
REASONS = (
    Reason(
        r"No space left on device|Errno 28|Disk quota exceeded",
        "The disk filled up while the agent runtime was installed.",
        "Free about 1 GB (also in the temporary directory) and run ./logos up again.",
    ),
    Reason(
        r"Permission denied|Read-only file system|Errno 13|Errno 30",
        "The agent runtime's directory is not writable.",
        "Make the state directory (LOGOS_HOME) writable for the user who runs Logos, and run ./logos up again.",
    ),
    Reason(
        r"[Hh]ash mismatch|do not match the hashes|THESE PACKAGES DO NOT MATCH",
        "A downloaded package is not the one Logos was tested with, so it was refused.",
        "Check the package index or proxy you install from; it serves altered files.",
    ),
    Reason(
        r"dns error|[Ff]ailed to (fetch|download)|name resolution|Name or service not known|Network is unreachable"
        r"|Connection (refused|reset|timed out)|error sending request|NewConnectionError|ConnectTimeout|ReadTimeout"
        r"|operation timed out|network connectivity is disabled|invalid peer certificate|CERTIFICATE_VERIFY_FAILED",
        "The package index could not be reached.",
        "Check the network (and the proxy or mirror settings of uv or pip), then run ./logos up again.",
    ),
    Reason(
        r"No solution found|No matching distribution|not found in the (package )?registry|Could not find a version",
        "The package index does not offer a package the agent runtime needs.",
        "Check the network, and which index uv or pip uses: it must mirror the public one.",
    ),
    Reason(
        r"ensurepip is not available|No module named '?(ensurepip|venv|pip)",
        "Neither uv nor Python's venv module is usable here.",
        "Install uv, or: apt install python3-venv",
    ),
)


def explain(output: str) -> Failed:
    """The sentence and the fix for what an installer printed."""
    detail = output[-DETAIL_CHARS:]
    for reason in REASONS:
        if re.search(reason.pattern, output):
            return Failed(reason.message, action=reason.action, detail=detail)
    return Failed(
        "The agent runtime could not be installed.",
        action="Look at the log for what the installer said.",
        detail=detail,
    )


def find_uv() -> str | None:
    """uv as it started us, on PATH, or beside the Python that runs Logos."""
    beside = Path(sys.executable).with_name("uv")
    for candidate in (os.environ.get("UV"), shutil.which("uv"), str(beside)):
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    return None


def make(venv: Path, interpreter: Interpreter, lock: Path, progress: Callable[[str], None]) -> None:
    """Build the environment at ``venv`` with every package of ``lock``, byte code included. Raises Failed.

    Byte code matters: the runtime is read-only inside, so what is not compiled now is compiled at every start.
    """
    python = venv / "bin" / "python"
    uv = find_uv()
    count = sum(1 for line in lock.read_text().splitlines() if "==" in line and not line.startswith("#"))
    progress(f"Making an environment for the agent runtime on {interpreter.path}")
    if uv:
        _run(
            [uv, "venv", "-q", "--no-project", "--relocatable", "--python", str(interpreter.path), str(venv)], progress
        )
        command = [uv, "pip", "install", "--no-progress", "--python", str(python), "--compile-bytecode"]
    else:
        _run([str(interpreter.path), "-m", "venv", str(venv)], progress)
        command = [str(python), "-m", "pip", "install", "--no-input", "--progress-bar", "off"]
    progress(f"Installing {count} packages, about 230 MB")
    _run([*command, "--require-hashes", "-r", str(lock)], progress)


def _run(command: list[str], progress: Callable[[str], None]) -> None:
    """Run one installer command, with a sign of life every few seconds."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, umask=0o022, cwd="/",
                env=_environment(),
            )  # fmt: skip
        except OSError as error:
            raise explain(str(error)) from error
        try:
            while (code := _wait(process)) is None:
                elapsed_s = time.monotonic() - started
                if elapsed_s > DEADLINE_S:
                    raise Failed(
                        f"Installing the agent runtime took longer than {DEADLINE_S / 60:.0f} minutes.",
                        action="Check the network, then run ./logos up again.",
                        detail=_text(output),
                    )
                progress(f"Still installing, {elapsed_s:.0f} s")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if code:
            raise explain(_text(output))


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(HEARTBEAT_S)
    except subprocess.TimeoutExpired:
        return None


def _text(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read().decode(errors="replace")


def _environment() -> dict[str, str]:
    # The environment Logos itself runs in must not leak into the one being built.
    foreign = {
        "VIRTUAL_ENV",
        "PYTHONHOME",
        "PYTHONPATH",
        "UV_PROJECT_ENVIRONMENT",
        "UV_PYTHON",
        "PIP_TARGET",
        "PIP_PREFIX",
    }
    return {key: value for key, value in os.environ.items() if key not in foreign} | {"LC_ALL": "C.UTF-8"}
