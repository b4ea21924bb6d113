"""What this machine offers the local driver: bubblewrap, the distribution's Python, a processor with a filter table.

Each question answers with what was found or raises SandboxError with the exact fix. ``doctor`` asks them all,
``LocalDriver.start`` asks before every start, so they are cheap.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass

from sandboxes.driver import SandboxError
from sandboxes.local import bwrap, diagnosis, seccomp


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    path: str
    version: tuple[int, ...]


def require_linux() -> str:
    if not sys.platform.startswith("linux"):
        raise SandboxError(
            "The local sandbox needs Linux: this system has no namespaces.",
            reason="not_linux",
            action="Run Logos in a Linux virtual machine, or choose another sandbox driver.",
        )
    release = platform.release()
    if release.endswith("-Microsoft"):  # WSL 1 translates system calls; WSL 2 ends in -microsoft-standard-WSL2
        raise SandboxError(
            "This is version 1 of the Windows Subsystem for Linux, which has no namespaces.",
            reason="wsl1",
            action="In Windows: wsl --set-version <distribution> 2",
        )
    return f"Linux {release}"


def require_known_machine() -> str:
    machine = platform.machine()
    if machine not in seccomp.NUMBERS:
        raise SandboxError(
            f"There is no system call filter for this processor ({machine}), so nothing is started on it.",
            reason="unknown_machine",
            action=f"Use a machine with one of: {', '.join(sorted(seccomp.NUMBERS))}.",
        )
    return machine


def require_bubblewrap() -> Bubblewrap:
    path = shutil.which("bwrap", path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/local/bin")
    if path is None:
        raise SandboxError(
            "bubblewrap is not installed; it builds the sandbox.",
            reason="bubblewrap_missing",
            action=diagnosis.INSTALL,
        )
    found = os.stat(path)
    if found.st_mode & (stat.S_ISUID | stat.S_ISGID):
        # Its set-user-id mode has had root holes that the ordinary mode cannot have.
        raise SandboxError(
            f"{path} is set-user-id, which is refused: a hole in it would be a hole to root.",
            reason="bubblewrap_setuid",
            action=f"chmod u-s,g-s {path}",
        )
    return _bubblewrap(path, found.st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _bubblewrap(path: str, modified_ns: int) -> Bubblewrap:
    """Asked once for each file: ``modified_ns`` tells a replaced one."""
    words = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    found = re.search(r"(\d+(?:\.\d+)+)", words)
    version = tuple(int(part) for part in found[1].split(".")) if found else (0,)
    if version < bwrap.OLDEST_VERSION:
        oldest = ".".join(map(str, bwrap.OLDEST_VERSION))
        raise SandboxError(
            f"bubblewrap is too old; {oldest} or newer is needed.",
            reason="bubblewrap_old",
            detail=words.strip(),
            action=diagnosis.INSTALL,
        )
    return Bubblewrap(path, version)


def require_python() -> str:
    """The distribution's interpreter: the sandbox's PID 1 runs on it. Cheap; ``doctor`` tries its modules."""
    if not os.access(bwrap.PYTHON, os.X_OK):
        raise SandboxError(
            f"The distribution's Python ({bwrap.PYTHON}) is missing; the sandbox's first process runs on it.",
            reason="python_missing",
            action="apt-get install python3",
        )
    return bwrap.PYTHON


def require_all() -> Bubblewrap:
    require_linux()
    require_known_machine()
    require_python()
    return require_bubblewrap()
