"""What is written down of a shell in a sandbox: who, when, how long in the audit, and what it showed, without secrets.

The transcript lies beside the sandbox, where the agent cannot reach it. It holds what the terminal showed: what was
typed without being shown, a password, is not in it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from agents import audit, secrets
from agents.ids import ulid
from agents.models import Agent, User

MOST_BYTES = 256 * 1024
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
        self.name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{ulid()}.txt"
        audit.note("shell_opened", actor=user, about=agent, transcript=self.name)

    def heard(self, data: bytes) -> None:
        """The terminal showed this."""
        self._size += len(data)
        self._shown += data[: MOST_BYTES + _MARGIN_BYTES - len(self._shown)]

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
        try:
            directory = self._root / "engine/shells"
            directory.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(directory / self.name, flags, 0o600), "w", newline="") as file:
                file.write(text)
            for path in sorted(directory.iterdir())[:-KEPT]:
                path.unlink(missing_ok=True)
        except OSError:
            return False
        return True


def masked(shown: str, known: Iterable[str]) -> str:
    """What was shown without secrets, those that were typed over the edge of the window too."""
    known = list(known)
    whole = _WRAPPED.sub("", shown)
    clean = secrets.redact(whole, known)
    # Where nothing was found what was shown stays as it was: programs that draw on one line return like this as well.
    return clean if clean != whole else secrets.redact(shown, known)
