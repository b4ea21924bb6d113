"""The names tools are given, as they are below the workspace, and as they travel inside."""

from __future__ import annotations

from typing import Any

from agents.errors import Invalid
from sandboxes import file_names

ROOT = "/workspace"


def parsed(path: str, field: str = "path", *, may_be_root: bool = False) -> tuple[bytes, ...]:
    """The parts below the workspace. Invalid for what lies elsewhere."""
    if path == ROOT or path.startswith(f"{ROOT}/"):
        path = path[len(ROOT) :]
    elif path.startswith("/"):
        raise Invalid(
            "This tool works below /workspace only.", field=field, reason="outside", action="Name it from there on."
        )
    try:
        parts = file_names.parsed(path)
    except Invalid as error:
        raise Invalid(error.message, field=field, reason="outside", action=error.action) from error
    if not parts and not may_be_root:
        raise Invalid("Name a file or directory in the workspace.", field=field, reason="invalid_arguments")
    return parts


def canonical(path: str) -> str:
    """The one spelling, which rules are held against."""
    return file_names.joined(parsed(path, may_be_root=True))


def sent(parts: tuple[bytes, ...]) -> list[str]:
    """As they travel: one character a byte."""
    return [part.decode("latin-1") for part in parts]


def received(name: Any) -> str:
    """A name from inside, for people and for the next call; "" when it is none."""
    if not isinstance(name, str):
        return ""
    try:
        return file_names.written(name.encode("latin-1"))
    except UnicodeEncodeError:
        return ""


def received_path(names: Any) -> str:
    """A path from inside."""
    return "/".join(filter(None, map(received, names))) if isinstance(names, list) else ""


def inside(parts: tuple[bytes, ...]) -> str:
    """The directory as a command's working directory: text only, which is what a driver takes."""
    try:
        return "/".join((ROOT, *(part.decode() for part in parts)))
    except UnicodeDecodeError:
        raise Invalid("The name of this directory is no text.", field="directory", reason="invalid_arguments") from None
