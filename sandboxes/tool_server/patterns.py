"""What rules may be about: paths, hosts and commands, by patterns a person can read. Pure.

A path pattern covers what it names and everything below it: ``notes/*.md``, ``**/private``. One without a slash is met
at any depth, ``/workspace/secrets`` only there. A host is ``api.example.com`` or ``*.example.com``. A command pattern is held against the
whole command. ``*`` stands for anything, in a path for anything but a slash.
"""

from __future__ import annotations

from agents import hosts
from agents.errors import Invalid
from agents.wildcards import fits
from sandboxes import file_names

MOST_CHARS = 300
ROOT = "/workspace"


def path_pattern(text: str) -> str:
    """The one spelling of a path pattern. Invalid for one that leads out of the workspace or names all of it."""
    plain = text.strip()
    if plain.startswith("/"):
        if plain != ROOT and not plain.startswith(f"{ROOT}/"):
            raise Invalid("A path is named from the workspace on.", field="pattern", action="For instance secrets/**")
        plain = plain.removeprefix(ROOT)
    parts = [file_names.written(part) for part in file_names.parsed(plain)]
    while parts and parts[-1] == "**":
        parts.pop()  # below is meant anyway
    if not parts or len("/".join(parts)) > MOST_CHARS:
        raise Invalid(
            f"Name a path of up to {MOST_CHARS} characters, or leave the condition away.",
            field="pattern",
            action="For instance secrets, notes/*.md or **/private.",
        )
    anchored = "/" in plain.strip("/").removesuffix("/**") or plain.startswith("/")
    if not anchored:
        return f"**/{parts[0]}" if parts[0] != "**" else "/".join(parts)
    # A single name from the workspace on keeps its beginning, else it would read as one at any depth.
    return "/".join(parts) if len(parts) > 1 else f"{ROOT}/{parts[0]}"


def host_pattern(text: str) -> str:
    """The one spelling of a host pattern."""
    try:
        return hosts.pattern(text)
    except Invalid as error:
        raise Invalid(error.message, field="pattern", action=error.action) from error


def command_pattern(text: str) -> str:
    """A command pattern as it stands, spaces at its ends apart."""
    plain = text.strip()
    if not plain or not plain.strip("*") or len(plain) > MOST_CHARS or not plain.isprintable():
        raise Invalid(f"Write a command of up to {MOST_CHARS} characters, for instance git status *.", field="pattern")
    return plain


READERS = {"path": path_pattern, "host": host_pattern, "command": command_pattern}


def covers_path(pattern: str, path: str) -> bool:
    """Is the path what the pattern names, or below it?"""
    wanted = _parts(pattern)
    reached = {0}  # places in the pattern where the parts so far may have led
    for part in path.split("/") if path else []:
        reached = {after for place in _skipping(reached, wanted) for after in _after(place, wanted, part)}
        if len(wanted) in reached:
            return True
    return False


def may_cover_below(pattern: str, path: str) -> bool:
    """Could something below the path be what the pattern names?"""
    wanted = _parts(pattern)
    reached = {0}
    for part in path.split("/") if path else []:
        reached = {after for place in _skipping(reached, wanted) for after in _after(place, wanted, part)}
    return any(place < len(wanted) for place in reached)


def covers_host(pattern: str, host: str) -> bool:
    """Is the host what the pattern names?"""
    return hosts.covers(pattern, host)


def covers_command(pattern: str, command: str) -> bool:
    """Is the whole command of the pattern's shape?"""
    return fits(pattern, command)


def _parts(pattern: str) -> list[str]:
    return pattern.removeprefix(f"{ROOT}/").split("/")


def _skipping(places: set[int], wanted: list[str]) -> set[int]:
    """The places, and those behind a ** that stands for nothing."""
    found = set(places)
    for place in places:
        while place < len(wanted) and wanted[place] == "**":
            place += 1
            found.add(place)
    return found


def _after(place: int, wanted: list[str], part: str) -> list[int]:
    """Where a part of the path leads from this place of the pattern."""
    if place >= len(wanted):
        return []
    if wanted[place] == "**":
        return [place]
    return [place + 1] if fits(wanted[place], part) else []
