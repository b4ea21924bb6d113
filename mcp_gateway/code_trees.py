"""The code that a started script can load: the folder it lies in, its project, its environment, as far as they are small.

Code is what has the name of code; what a program keeps beside it changes all day. A tree with more of it than is compared
is known by its lists of packages instead, and says so.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

# Code files and bytes of one tree, and how much of it is looked through for them.
MAX_FILES, MAX_BYTES, MAX_ENTRIES = 5_000, 200 * 1024 * 1024, 40_000
# So many are kept one by one, so that people are told which it was.
MAX_NAMED = 300
TOO_LARGE, TOO_BROAD = "too large", "too broad"
SUFFIXES = frozenset(
    {
        *(".py", ".pyz", ".pyc", ".pth", ".so", ".js", ".mjs", ".cjs", ".ts", ".mts", ".node", ".wasm", ".rb", ".pl", ".pm"),
        *(".sh", ".bash", ".php", ".jar", ".lua", ".r", ".exs"),
    }
)  # fmt: skip
_JAVASCRIPT = frozenset({".js", ".mjs", ".cjs", ".ts", ".mts"})
_NAMES = frozenset({"package.json"})
# What says which packages there are, in a tree that is too large.
_LOCKS = (
    *("package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "node_modules/.package-lock.json"),
    *("uv.lock", "poetry.lock", "requirements.txt", "python*/site-packages/*.dist-info/RECORD"),
)
# Folders of many things: what lies in them is not one program's.
_BROAD = frozenset(  # none of them is written to
    {
        *("/", "/home", "/opt", "/var", "/srv", "/mnt", "/media", "/tmp", "/root", "/etc", "/usr", "/var/lib", "/var/tmp"),  # noqa: S108
        *("/lib", "/lib64", "/usr/lib", "/usr/share", "/usr/local", "/usr/local/lib", "/usr/local/share"),
    }
)  # fmt: skip


def of_script(real: str) -> str:
    """The folder of the code that belongs to a script; "" for one among programs of others."""
    directory = Path(real).parent
    if directory.name in ("bin", "sbin"):
        return ""
    if Path(real).suffix.lower() in _JAVASCRIPT:
        # What it loads by name is looked for upwards.
        for each in (directory, *list(directory.parents)[:3]):
            if is_broad(str(each)):
                break
            if (each / "package.json").is_file():
                return str(each)
    return str(directory)


def of_environment(program: str) -> str:
    """What a Python environment has installed, by the path of a program in its ``bin``; "" for none."""
    top = Path(program).parent.parent
    return str(top / "lib") if (top / "pyvenv.cfg").is_file() else ""


def of_module(name: str, places: Sequence[str]) -> str:
    """The package or module that ``python -m`` starts, in the first place that has it; "" for none."""
    top = name.partition(".")[0]
    if not top.isidentifier():
        return ""
    for place in places:
        package = os.path.join(place, top)
        if os.path.isdir(package):
            return package
        if os.path.isfile(f"{package}.py"):
            return f"{package}.py"
    return ""


def is_broad(directory: str) -> bool:
    """Is this a folder of many things?"""
    path = Path(directory)
    return directory in _BROAD or str(path.parent) == "/home" or directory == os.path.expanduser("~")


def seen(root: str, digest: Callable[[str], str]) -> dict[str, Any]:
    """The code in a folder, by one digest; few files by one each besides. ``note`` says what was not compared."""
    if is_broad(root):
        return {"sha256": "", "count": 0, "note": TOO_BROAD}
    files = _files(root)
    note = {} if files is not None else {"note": TOO_LARGE}
    marks = {
        name: digest(path)[:32] if path else "link"
        for name, path in (files if files is not None else _locks(root)).items()
    }
    whole = hashlib.sha256()
    for name in sorted(marks):
        whole.update(f"{name}\0{marks[name]}\n".encode())
    named = {"files": marks} if len(marks) <= MAX_NAMED else {}
    return {"sha256": whole.hexdigest(), "count": len(marks), **named, **note}


def _files(root: str) -> dict[str, str] | None:
    """The paths of files of code by their names below ``root``; None when there is too much."""
    found: dict[str, str] = {}
    size, top = 0, os.path.realpath(root)
    for number, entry in enumerate(_walk(root)):
        if number >= MAX_ENTRIES:
            return None
        name = _written(os.path.relpath(entry.path, root))
        try:
            real = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
            if entry.is_symlink() and (entry.is_dir() or (_is_code(entry) and not real.startswith(f"{top}/"))):
                # Where it leads is compared, not what is there: that may be anything of this machine.
                found[f"{name} -> {_written(os.readlink(entry.path))}"] = ""
            elif _is_code(entry) and entry.is_file():
                size += entry.stat().st_size
                found[name] = real
        except OSError:
            continue  # it leads in circles, or went a moment ago: nothing is loaded by it
        if len(found) > MAX_FILES or size > MAX_BYTES:
            return None
    return found


def _is_code(entry: os.DirEntry[str]) -> bool:
    return os.path.splitext(entry.name)[1].lower() in SUFFIXES or entry.name in _NAMES


def _walk(root: str) -> Iterator[os.DirEntry[str]]:
    """Everything below, but for what is hidden and what interpreters keep for themselves."""
    waiting = [root]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    yield entry
                    is_left_out = entry.name.startswith(".") or entry.name == "__pycache__"
                    if not is_left_out and entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError:
            continue


def _locks(root: str) -> dict[str, str]:
    found = (path for pattern in _LOCKS for path in Path(root).glob(pattern))
    return {_written(str(path.relative_to(root))): str(path) for path in found}


def _written(path: str) -> str:
    """A path as a row can hold it."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
