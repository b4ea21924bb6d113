"""A shell for tests of commands: what was printed, what was said on standard error, and the exit code."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection


@dataclass(frozen=True)
class Ended:
    """One command that has ended."""

    code: int
    out: str
    said: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run(*words: str) -> Ended:
    """The command in this process, so that it sees the test's transaction."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        call_command(*words, stdout=out, stderr=err)
    except CommandError as error:
        err.write(f"{error}\n")
        code = 1
    except SystemExit as end:
        code = int(end.code or 0)
    return Ended(code, out.getvalue(), err.getvalue())


def start(*words: str, env: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen:
    """The command as a process of its own over the tests' database, as a person would start it."""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "logos_site.settings", **(env or {})}
    environment |= {"LOGOS_HOME": str(settings.LOGOS_HOME), "LOGOS_DATABASE_URL": _database(), "PYTHONUNBUFFERED": "1"}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    pipes["preexec_fn"] = _as_in_a_terminal
    return subprocess.Popen(
        [sys.executable, "manage.py", *words], cwd=settings.BASE_DIR, env=environment, text=True, **pipes | options
    )


def _database() -> str:
    """The address of the database this test uses; parallel workers have one each."""
    used = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:{used['NAME']}"
    return f"postgresql://{used['USER']}:{used['PASSWORD']}@{used['HOST']}:{used['PORT']}/{used['NAME']}"


def _as_in_a_terminal() -> None:
    # A worker of a parallel run may ignore SIGINT, or hold it back, and a child would inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
