"""What is written down of a shell in a sandbox: who, when, how long in the audit, and what it showed, without secrets.

The transcript lies beside the sandbox, where the agent cannot reach it. It holds what the terminal showed: what was
typed without being shown, a password, is not in it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from agents import audit, secrets
from agents.ids import ulid
from agents.models import Agent, User

MOST_BYTES = 256 * 1024
# What is lost of a terminal when Logos is killed while it is open.
SAVED_EVERY_S = 5.0
# A copy half written by a process that was killed is swept once it is this old.
STALE_S = 3600.0
# Read beyond that and thrown away: a secret that the end cuts in two would not be recognised.
_MARGIN_BYTES = 4096
KEPT = 20
# How a shell goes on at the edge of the window in the middle of what is typed: a key there would be in two halves,
# neither of which looks like one.
_WRAPPED = re.compile(r" \r(?=[!-~])")


class Recorded:
    """One shell of a person's, from its opening to its end."""

    def __init__(self, user: User, agent: Agent, root: Path, known: Iterable[str]) -> None:
        self._user, self._agent, self._root, self._known = user, agent, root, list(known)
        self._began = time.monotonic()
        self._shown = bytearray()
        self._size = 0
        self._saved_at = self._began
        self.name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{ulid()}.txt"
        audit.note("shell_opened", actor=user, about=agent, transcript=self.name)

    def heard(self, data: bytes) -> None:
        """The terminal showed this."""
        self._size += len(data)
        room = MOST_BYTES + _MARGIN_BYTES - len(self._shown)
        self._shown += data[:room]
        if room > 0 and time.monotonic() - self._saved_at >= SAVED_EVERY_S:
            self._write(self._whole_lines())
            self._saved_at = time.monotonic()

    def end(self, code: int | None, why: str = "") -> None:
        """The shell is over; None when it was cut off, and ``why``."""
        seconds = round(time.monotonic() - self._began, 1)
        kept = self._keep()
        audit.note(
            "shell_closed",
            actor=self._user,
            about=self._agent,
            seconds=seconds,
            bytes=self._size,
            code=code,
            why=why,
            transcript=self.name,
            kept=kept,
        )

    def _keep(self) -> bool:
        text = masked(bytes(self._shown).decode(errors="replace"), self._known)
        if self._size > len(self._shown):
            text = text[:-_MARGIN_BYTES]
        if self._size > MOST_BYTES:
            text = f"{text[:MOST_BYTES]}\n[the first {MOST_BYTES // 1024} KB of {self._size // 1024}]\n"
        return self._write(text)

    def _whole_lines(self) -> str:
        """So far; without the last line, in which half of a secret may stand."""
        lines, _, _ = bytes(self._shown[:MOST_BYTES]).rpartition(b"\n")
        return masked(lines.decode(errors="replace"), self._known) + "\n"

    def _write(self, text: str) -> bool:
        """Put the text in the place of what was kept before: whole, or not at all."""
        directory = self._root / "engine/shells"
        part = directory / f"{self.name}.part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
            with os.fdopen(os.open(part, flags, 0o600), "w", newline="") as file:
                file.write(text)
            part.rename(directory / self.name)
            _sweep(directory)
        except OSError:
            return False
        return True


def _sweep(directory: Path) -> None:
    for path in sorted(directory.glob("*.txt"))[:-KEPT]:
        path.unlink(missing_ok=True)
    for path in directory.glob("*.part"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > STALE_S:
                path.unlink()


def masked(shown: str, known: Iterable[str]) -> str:
    """What was shown without secrets, those that were typed over the edge of the window too."""
    known = list(known)
    whole = _WRAPPED.sub("", shown)
    clean = secrets.redact(whole, known)
    # Where nothing was found what was shown stays as it was: programs that draw on one line return like this as well.
    return clean if clean != whole else secrets.redact(shown, known)
