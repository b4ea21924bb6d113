"""Which files a program is, and what is in them: the program as it is found on the path, the scripts it is given, and the
code beside those that they can load (``code_trees``). What a launcher fetches is not seen."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from mcp_gateway import boxes, code_trees
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

# A folder of code has its path with a / at the end, and says how many files ("count") and perhaps which ("files").
File = dict[str, Any]
# Digests that are remembered, by the marks of files.
MOST_KNOWN = 20_000


def of(launch: Launch | BoxedLaunch, *, own: bool = True) -> list[File]:
    """Each with its path as the program sees it, where it really is, and the SHA-256 of its content. Without ``own``
    those in the server's own folder are left out."""
    found: list[File] = []
    program, scripts = _program(launch), [*_scripts(launch)][: MAX_FILES - 1]
    for path in (program, *scripts):
        if path and (own or not path.startswith(f"{boxes.OWN}/")):
            real = os.path.realpath(_on_the_host(launch, path))
            found.append({"path": path, "real": real, "sha256": _digest(real)})
    for real, path in _trees(launch, program, scripts).items():
        if not own and path.startswith(f"{boxes.OWN}/"):
            continue
        found.append(
            {"path": path, "real": real, **code_trees.seen(real, _digest)}
            if path.endswith("/")
            else {"path": path, "real": real, "sha256": _digest(real)}
        )
    return found


def _trees(launch: Launch | BoxedLaunch, program: str, scripts: Sequence[str]) -> dict[str, str]:
    """Folders of code (or one module) that these can load, by where they are: the paths they are told under."""
    hosts = [_on_the_host(launch, path) for path in (program, *scripts) if path]
    found = [code_trees.of_environment(path) for path in hosts[:1]]
    found += [code_trees.of_script(os.path.realpath(path)) for path in hosts if _is_script(path)]
    args = list(launch.args)
    if Path(program).name.startswith(("python", "pypy")) and "-m" in args[:-1]:
        found.append(code_trees.of_module(args[args.index("-m") + 1], _module_places(launch, program)))
    once: dict[str, str] = {}
    for real in dict.fromkeys(os.path.realpath(each) for each in found if each):
        told = _inside(launch, real)
        once[real] = f"{told.rstrip('/')}/" if os.path.isdir(real) else told
    return once


def _module_places(launch: Launch | BoxedLaunch, program: str) -> list[str]:
    """Where ``python -m`` looks, nearest first; of the system, where its packages and those of the machine's owner are."""
    cwd = str(launch.cwd) or boxes.OWN
    named = [each for each in launch.env.get("PYTHONPATH", "").split(":") if each.startswith("/")]
    top = Path(os.path.realpath(_on_the_host(launch, program))).parent.parent
    kept = [*top.glob("lib/python3*/site-packages"), *top.glob("lib/python3*/dist-packages")]
    usual = [Path("/usr/lib/python3/dist-packages"), *Path("/usr/local/lib").glob("python3*/dist-packages")]
    return [*(_on_the_host(launch, each) for each in (cwd, *named)), *map(str, (*kept, *usual))]


def _is_script(path: str) -> bool:
    """Is this text for an interpreter?"""
    if Path(path).suffix.lower() in _CODE:
        return True
    try:
        with open(path, "rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _inside(launch: Launch | BoxedLaunch, real: str) -> str:
    """A path of the host as the program sees it."""
    if isinstance(launch, BoxedLaunch):
        own = os.path.realpath(launch.root / "files")
        if real == own or real.startswith(f"{own}/"):
            return f"{boxes.OWN}{real.removeprefix(own)}"
    return real


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
    if len(path) >= 1_000 or "\x00" in path:
        return False
    host = _on_the_host(launch, path)
    return os.path.isfile(host) and not is_of_the_kernel(os.path.realpath(host))


def _is_code(host: str) -> bool:
    return bool(os.stat(host).st_mode & stat.S_IXUSR) or _is_script(host)


def _on_the_host(launch: Launch | BoxedLaunch, path: str) -> str:
    if isinstance(launch, BoxedLaunch) and boxes.is_own(path):
        return str(launch.root / "files" / path.removeprefix(boxes.OWN).lstrip("/"))
    return path


def is_of_the_kernel(real: str) -> bool:
    """Is this made up when it is read, perhaps without an end?"""
    return real.startswith(("/proc/", "/sys/", "/dev/"))


def _digest(real: str) -> str:
    """The content's, read again only when the file is another by any of its marks; "" where it cannot be read. Links are
    not followed here, nothing is waited for, and no more is read than the file said it has."""
    if is_of_the_kernel(real):
        return ""
    try:
        descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                return ""
            mark = (real, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            if mark not in _known:
                if found.st_size > MAX_BYTES:
                    return f"size {found.st_size}"
                if len(_known) > MOST_KNOWN:
                    _known.clear()
                _known[mark] = _content(file, found.st_size)
            return _known[mark]
    except OSError:
        return ""


def _content(file: BinaryIO, size: int) -> str:
    found, left = hashlib.sha256(), size
    while left > 0 and (piece := file.read(min(left, 1024 * 1024))):
        found.update(piece)
        left -= len(piece)
    return found.hexdigest()
