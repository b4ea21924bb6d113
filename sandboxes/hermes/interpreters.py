"""Find a Python the agent runtime can live on, one that every sandbox may read.

A sandbox shows ``/usr`` of the host and little else, so an interpreter there needs nothing more. One that
lives elsewhere (pyenv, a home directory, uv's own) is copied once and shown inside under its own path,
because its libraries and the environment's links name that path.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 13)  # what hermes-agent 0.19 declares
MOUNTED = Path("/usr")
DISTRO = tuple(
    Path(directory) / name
    for directory in ("/usr/bin", "/usr/local/bin")
    for name in ("python3.13", "python3.12", "python3.11", "python3")
)
NOT_COPIED = shutil.ignore_patterns(
    "site-packages", "dist-packages", "test", "idlelib", "tkinter", "turtledemo", "share"
)

# ssl, sqlite3 and ctypes are what stripped-down builds lack; the runtime imports all three.
_QUESTION = (
    "import ctypes, json, sqlite3, ssl, sys; "
    "print(json.dumps([list(sys.version_info[:3]), sys.base_prefix, sys.implementation.name]))"
)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that answered. ``prefix`` is its installation root."""

    path: Path
    prefix: Path
    version: tuple[int, int, int]

    @property
    def is_mounted(self) -> bool:
        """Whether a sandbox sees it already."""
        return self.prefix.is_relative_to(MOUNTED) and self.path.is_relative_to(MOUNTED)


def ask(path: Path) -> Interpreter | None:
    """What the interpreter says of itself; None if it does not run, lacks a module, or is of another kind or age."""
    try:
        answer = subprocess.run(
            [path, "-I", "-S", "-c", _QUESTION], capture_output=True, timeout=20, check=True, cwd="/", env={}
        ).stdout
        version, prefix, kind = json.loads(answer)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    if kind != "cpython" or not OLDEST <= tuple(version[:2]) <= NEWEST:
        return None
    return Interpreter(path.resolve(), Path(prefix), (version[0], version[1], version[2]))


def candidates() -> Iterable[Path]:
    """The distribution's interpreters first, then the one that runs Logos."""
    yield from (path for path in DISTRO if path.exists())
    yield Path(getattr(sys, "_base_executable", sys.executable))


def choose(paths: Iterable[Path] | None = None) -> Interpreter | None:
    """The first interpreter that fits, or None."""
    return next((found for path in (paths or candidates()) if (found := ask(path))), None)


def copy_prefix(interpreter: Interpreter, to: Path) -> None:
    """Copy the interpreter's installation so that other users can read it. OSError when that fails."""
    partial = to.with_name(to.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for part in ("bin", "lib"):
        shutil.copytree(interpreter.prefix / part, partial / part, symlinks=True, ignore=NOT_COPIED)
    open_to_readers(partial)
    shutil.rmtree(to, ignore_errors=True)
    partial.rename(to)


def open_to_readers(top: Path) -> None:
    """Let everybody read what is below ``top``: the agent's user is not the one who installed it."""
    for directory, _, files in os.walk(top):
        _add_mode(directory, 0o755)
        for name in files:
            path = os.path.join(directory, name)
            if not os.path.islink(path):
                _add_mode(path, 0o444)


def _add_mode(path: str, wanted: int) -> None:
    mode = os.stat(path).st_mode & 0o7777
    if mode & 0o111:
        wanted |= 0o111
    if mode | wanted != mode:
        os.chmod(path, mode | wanted)
