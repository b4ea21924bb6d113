"""Programs that fetch what they run: whether an argument says which version, or another one may come tomorrow (pure)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

# A version that cannot move: digits and what follows them, no "latest", no range.
_FIXED = r"v?\d[\w.+-]*"
_NPM = re.compile(rf"(?:npm:)?(?:@[^/@\s]+/)?[^@\s]+@{_FIXED}(?:/[^@\s]*)?")
_JSR = re.compile(rf"jsr:@[^/@\s]+/[^@\s]+@{_FIXED}(?:/[^@\s]*)?")
_PYTHON = re.compile(rf"[^=@\s]+(?:==|@){_FIXED}")
_IMAGE = re.compile(r"\S+@sha256:[0-9a-f]{64}")
_COMMIT = re.compile(r"(?:git\+|github:|gitlab:|bitbucket:)\S+[#@][0-9a-f]{40}(?:#\S*)?")

# Options that take the next word, so that it is not taken for what is run.
_TAKES = {
    "npx": {"-p", "--package", "-c", "--call", "-w", "--workspace", "--registry", "--cache", "--userconfig"},
    "uvx": {"--from", "--with", "--python", "-p", "--index-url", "--extra-index-url", "--index", "--with-editable",
            "--with-requirements", "--default-index", "--cache-dir", "--directory", "-i", "-w"},
    "pipx": {"--spec", "--python", "--pip-args", "--index-url", "-i", "--with"},
    "docker": {"-e", "--env", "-v", "--volume", "-p", "--publish", "--name", "--network", "--net", "-w", "--workdir",
               "-u", "--user", "--mount", "--env-file", "-m", "--memory", "--cpus", "--entrypoint", "-l", "--label",
               "--platform", "--pull", "-h", "--hostname", "--add-host", "--dns", "--tmpfs", "--security-opt",
               "--cap-add", "--cap-drop", "--device", "--gpus", "--ulimit", "--shm-size", "--log-driver", "--runtime",
               "--restart", "--cidfile", "--userns", "--ipc", "--pid"},
    "deno": {"-c", "--config", "--import-map", "--lock", "--cert", "-L", "--log-level", "--seed", "--location"},
    "dlx": {"-p", "--package", "--registry", "-C", "--dir"},
}  # fmt: skip
# Those that name what is run instead of the first word.
_NAMES = {"npx": ("-p", "--package"), "uvx": ("--from",), "pipx": ("--spec",), "dlx": ("-p", "--package")}


def warning(command: str, args: Sequence[str]) -> str:
    """A sentence when this command fetches something whose version is not said, else ""."""
    name = PurePosixPath(command).name.removesuffix(".cmd")
    for known, words, subject, is_fixed in _shapes(name, list(args)):
        if not words:
            return ""
        if (loose := next((word for word in subject if not is_fixed(word)), None)) is not None:
            return _said(f"{name} {known}".strip(), loose)
    return ""


def _shapes(name: str, args: list[str]) -> list[tuple[str, list[str], list[str], Callable[[str], bool]]]:
    """How to read the arguments of this launcher: its verb, its words, those that say what is fetched, and the test."""
    if name in ("npx", "bunx", "pnpx"):
        return [("", *_read(args, "npx"), _is_npm)]
    if name == "uvx":
        return [("", *_read(args, "uvx"), _is_python)]
    verb, rest = _verb(args)
    if name == "uv" and verb == "tool" and _verb(rest)[0] == "run":
        return [("tool run", *_read(_verb(rest)[1], "uvx"), _is_python)]
    if name == "pipx" and verb == "run":
        return [("run", *_read(rest, "pipx"), _is_python)]
    if (name, verb) in (
        ("pnpm", "dlx"),
        ("yarn", "dlx"),
        ("bun", "x"),
        ("npm", "exec"),
        ("npm", "x"),
        ("pnpm", "exec"),
    ):
        return [] if (name, verb) == ("pnpm", "exec") else [(verb, *_read(rest, "dlx"), _is_npm)]
    if name == "deno" and verb in ("run", "x", "serve"):
        words, subject = _read(rest, "deno")
        remote = [word for word in subject if word.startswith(("npm:", "jsr:", "http:", "https:"))]
        return [(verb, words, remote, _is_deno)]
    if name in ("docker", "podman", "nerdctl"):
        if verb == "container":
            verb, rest = _verb(rest)
        if verb == "run":
            return [("run", *_read(rest, "docker"), lambda word: bool(_IMAGE.fullmatch(word)))]
    return []


def _verb(args: list[str]) -> tuple[str, list[str]]:
    """The first word and what follows it."""
    for at, word in enumerate(args):
        if not word.startswith("-"):
            return word, args[at + 1 :]
    return "", []


def _read(args: list[str], kind: str) -> tuple[list[str], list[str]]:
    """The words that are no options, and those that name what is fetched."""
    words, named, at = [], [], 0
    while at < len(args):
        option, equals, value = args[at].partition("=")
        if args[at] == "--":
            words += args[at + 1 :]
            break
        if not args[at].startswith("-"):
            words += args[at:]
            break
        if not equals and option in _TAKES[kind] and at + 1 < len(args):
            at += 1
            value = args[at]
        if option in _NAMES.get(kind, ()):
            named.append(value)
        at += 1
    return words or named, named or words[:1]


def _is_local(word: str) -> bool:
    return word.startswith(("/", "./", "../", "file:"))


def _is_npm(word: str) -> bool:
    return _is_local(word) or bool(_NPM.fullmatch(word) or _COMMIT.fullmatch(word))


def _is_python(word: str) -> bool:
    return _is_local(word) or bool(_PYTHON.fullmatch(word) or _COMMIT.fullmatch(word))


def _is_deno(word: str) -> bool:
    return bool(_NPM.fullmatch(word) or _JSR.fullmatch(word))


def _said(launcher: str, word: str) -> str:
    if launcher.startswith(("docker", "podman", "nerdctl")):
        return (
            f"{launcher} takes whatever {word[:120]} is at each start: a tag can be moved. Name the image by its digest "
            "(name@sha256:…), so that the program cannot change behind your back."
        )
    return (
        f"{launcher} fetches whatever version of {word[:80]} is newest at each start. Name one, so that the program "
        "cannot change behind your back."
    )
