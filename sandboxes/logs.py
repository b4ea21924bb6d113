"""What a sandbox wrote: the end of its logs, and what is added to them, without secrets and never blank.

A log begins anew with a start of the sandbox or when it has grown; a reader who follows it is told so by its text.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agents import secrets
from agents.errors import Invalid
from agents.numbers import whole
from sandboxes import lifecycle
from sandboxes.models import Sandbox, State

MOST_LINES = 2000
DEFAULT_LINES = 200
# So much of the end of a file is looked at; longer lines are cut at their beginning.
MOST_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Log:
    """One of the files."""

    key: str
    title: str
    file: str


LOGS = {
    log.key: log for log in (Log("runtime", "Agent runtime", "gateway.log"), Log("keeper", "Sandbox", "keeper.log"))
}


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a log; ``empty`` says why there is nothing, and ``place`` is where a follower goes on."""

    log: Log
    lines: tuple[str, ...]
    empty: str
    place: str

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def which(key: str) -> Log:
    """The log of this name, the runtime's for none. Invalid for an unknown one."""
    if key and key not in LOGS:
        raise Invalid(f"There is no log called so. There are: {', '.join(LOGS)}.", field="log")
    return LOGS[key or "runtime"]


def path_of(row: Sandbox, log: Log) -> Path:
    return lifecycle.root_of(row.pk) / "engine" / log.file


def tail(row: Sandbox, log: Log, lines: int = DEFAULT_LINES, *, known: Iterable[str] = ()) -> Tail:
    """The last lines, cleaned of secrets and of what would move a terminal's cursor."""
    try:
        descriptor = os.open(path_of(row, log), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        return Tail(log, (), _why_empty(row, log, error), "")
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(file.fileno())
        file.seek(max(0, facts.st_size - MOST_BYTES))
        content = file.read(MOST_BYTES)
    place = f"{facts.st_ino}-{facts.st_size}"
    wanted = content.decode(errors="replace").splitlines()[-max(0, min(lines, MOST_LINES)) :] if lines > 0 else []
    said = tuple(clean("\n".join(wanted), known).split("\n")) if wanted else ()
    return Tail(log, said, "" if said else _why_empty(row, log), place)


def since(row: Sandbox, log: Log, place: str, *, known: Iterable[str] = ()) -> tuple[str, str]:
    """Whole lines that were added after ``place``, and the place after them. A file that began anew is read from its
    beginning; at most MOST_BYTES at once."""
    try:
        descriptor = os.open(path_of(row, log), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return "", place
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(file.fileno())
        inode, _, at = place.partition("-")
        start = seen if inode == str(facts.st_ino) and (seen := whole(at, 15) or 0) <= facts.st_size else 0
        file.seek(start)
        content = file.read(MOST_BYTES)
    end = content.rfind(b"\n") + 1
    if not end and len(content) == MOST_BYTES:
        end = len(content)  # a line longer than all we read at once
    text = content[:end].decode(errors="replace")
    return clean(text, known), f"{facts.st_ino}-{start + end}"


def clean(text: str, known: Iterable[str] = ()) -> str:
    """Without secrets, and without characters that are no text."""
    plain = "".join(char for char in text if char in "\n\t" or char.isprintable() or char == "\ufffd")
    return secrets.redact(plain, frozenset(known))


def _why_empty(row: Sandbox, log: Log, error: OSError | None = None) -> str:
    if error is not None and not isinstance(error, FileNotFoundError):
        return f"The log cannot be read: {error.strerror}."
    if row.starts == 0 and row.state == State.STARTING:
        return "The sandbox is being prepared for the first time; its log begins in a moment."
    if row.starts == 0 and row.state == State.FAILED:
        return f"The sandbox could not be prepared, so nothing in it wrote anything. {row.reason}".strip()
    if row.starts == 0:
        return "The sandbox has not started yet. Its log begins with the first message, or when it is prepared."
    if row.files_removed_at is not None:
        return "The log was removed with the files of the deleted agent."
    return (
        "Nothing has been written since the last start." if log.key == "runtime" else "The sandbox has written nothing."
    )
