"""How an MCP server's program ended, in a sentence that names the cause where it is known."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

SAID, REFUSED = 200, 300
NOT_STARTED = 127

# How npm ends whatever happened: with where it wrote down more, in a folder nobody looks into.
_CLOSING = re.compile(r"npm (?:error|ERR!)(?:\s+A complete log of this run can be found in:.*|\s+/\S*/_logs/\S*)?\s*")
# What the first process of a sandbox says of a program that it could not start.
_ABSENT = re.compile(r".*\[Errno 2\] No such file or directory: b?'([^']+)'")


def sentence(status: int | None, errors: Sequence[str], *, refused: str = "") -> str:
    """The last line of its error output is the cause, or else what Logos ``refused`` it before."""
    lines = [line for line in errors if line.strip()]
    closes = bool(lines) and _CLOSING.fullmatch(lines[-1]) is not None
    last = next((line for line in reversed(lines) if not _CLOSING.fullmatch(line)), "")
    parts = [f"It ended{'' if status is None else f' with status {status}'}."]
    if refused:
        parts.append(refused[:REFUSED])
    # Before its closing words npm advises how to get past a proxy: of no use where it was Logos that refused.
    if last and last != refused and not (refused and closes):
        parts.append(f"Its last line: {last[:SAID]}")
    return " ".join(parts)


def not_there(status: int | None, errors: Sequence[str], command: str) -> str:
    """What to do where a sandbox has no such program; "" when it ended of something else."""
    found = _ABSENT.fullmatch(errors[-1]) if status == NOT_STARTED and errors else None
    if found is None or PurePosixPath(found[1]).name != PurePosixPath(command).name:
        return ""
    what = f"{command[:80]}, or what it is started by, is not in its sandbox."
    if "/" in command:
        return f"{what} Install it below /usr, or show it the folder where it is."
    return f"{what} Install it below /usr, or show it the folder where it is, with PATH in its environment."
