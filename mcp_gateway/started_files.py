"""Which files a program is, and what is in them: the program as it is found on the path, and the scripts it is given.

What a script loads is not seen, nor what a launcher fetches.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from mcp_gateway import boxes
from mcp_gateway.boxed import BoxedLaunch
from mcp_gateway.children import Launch

MAX_FILES, MAX_BYTES = 16, 512 * 1024 * 1024
_CODE = frozenset(
    [
        ".py",
        ".pyz",
        ".js",
        ".mjs",
        ".cjs",
        ".ts",
        ".mts",
        ".rb",
        ".pl",
        ".sh",
        ".bash",
        ".php",
        ".jar",
        ".lua",
        ".r",
        ".exs",
        ".wasm",
    ]
)
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
_known: dict[tuple[object, ...], str] = {}

File = dict[str, str]


def of(launch: Launch | BoxedLaunch, *, own: bool = True) -> list[File]:
    """Each with its path as the program sees it, where it really is, and the SHA-256 of its content. Without ``own``
    those in the server's own folder are left out."""
    found = []
    for path in [_program(launch), *_scripts(launch)][:MAX_FILES]:
        if path and (own or not path.startswith(f"{boxes.OWN}/")):
            real = os.path.realpath(_on_the_host(launch, path))
            found.append({"path": path, "real": real, "sha256": _digest(real)})
    return found


def _program(launch: Launch | BoxedLaunch) -> str:
    """Where the command is found; "" when it is not."""
    if "/" in launch.command:
        return launch.command if _is_file(launch, launch.command) else ""
    usual = boxes.PATH if isinstance(launch, BoxedLaunch) else os.environ.get("PATH", _SYSTEM_PATH)
    for directory in launch.env.get("PATH", usual).split(":"):
        path = f"{directory.rstrip('/')}/{launch.command}"
        if directory.startswith("/") and _is_file(launch, path) and os.access(_on_the_host(launch, path), os.X_OK):
            return path
    return ""


def _scripts(launch: Launch | BoxedLaunch) -> Iterator[str]:
    """Arguments that name files of code; data that changes all day is none of that."""
    cwd = str(launch.cwd) or boxes.OWN
    for word in _words(launch.args):
        path = os.path.normpath(word if word.startswith("/") else f"{cwd}/{word}")
        if _is_file(launch, path) and _is_code(_on_the_host(launch, path)):
            yield path


def _words(args: Sequence[str]) -> Iterator[str]:
    for arg in args:
        yield arg
        if arg.startswith("-") and "=" in arg:
            yield arg.partition("=")[2]


def _is_file(launch: Launch | BoxedLaunch, path: str) -> bool:
    return len(path) < 1_000 and "\x00" not in path and os.path.isfile(_on_the_host(launch, path))


def _is_code(host: str) -> bool:
    if Path(host).suffix.lower() in _CODE or os.stat(host).st_mode & stat.S_IXUSR:
        return True
    try:
        with open(host, "rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _on_the_host(launch: Launch | BoxedLaunch, path: str) -> str:
    if isinstance(launch, BoxedLaunch) and path.startswith(f"{boxes.OWN}/"):
        return str(launch.root / "files" / path.removeprefix(f"{boxes.OWN}/"))
    return path


def _digest(real: str) -> str:
    """The content's, read again only when the file is another by any of its marks; "" where it cannot be read."""
    try:
        found = os.stat(real)
        mark = (real, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if mark not in _known:
            if found.st_size > MAX_BYTES:
                return f"size {found.st_size}"
            with open(real, "rb") as file:
                if len(_known) > 1_000:
                    _known.clear()
                _known[mark] = hashlib.file_digest(file, "sha256").hexdigest()
        return _known[mark]
    except OSError:
        return ""
