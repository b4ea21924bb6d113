"""One ``up`` per state directory: a file lock that the kernel gives back however the process ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from agents.errors import Conflict

NAME = "up.lock"


class Lock:
    """Held from ``take`` until the process ends or ``release``. ``address`` is told to whoever comes second."""

    def __init__(self, home: Path, address: str = "") -> None:
        self._path = home / NAME
        self._address = address
        self._descriptor = -1

    def take(self) -> None:
        """Conflict(reason="already_up") while another process holds it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            who = holder(self._path.parent)
            raise Conflict(
                f"Logos is already running on {self._path.parent}{f' ({who})' if who else ''}.",
                reason="already_up",
                action="Stop that one first, or set LOGOS_HOME to another directory.",
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()}, {self._address}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1


def holder(home: Path) -> str:
    """Who holds it, in words: its process and address; "" when nobody has said."""
    try:
        return (home / NAME).read_text(errors="replace").strip()[:200]
    except OSError:
        return ""


def is_held(home: Path) -> bool:
    """Is an ``up`` running on this state directory?"""
    try:
        descriptor = os.open(home / NAME, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
