"""What ``up`` does before anything runs. Every step may be repeated: running ``up`` again is a repair."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import DatabaseError, connection

from agents.errors import LogosError
from sandboxes import drivers
from sandboxes.driver import Check
from sandboxes.hermes import runtime

Say = Callable[[str], None]

NEEDED_MB = 200
COLLECTED = ".collected"


def prepare(say: Say) -> None:
    """All steps in order; LogosError with the fix at the first that cannot be done."""
    disk()
    database(say)
    static_files(say)
    sandbox(say)
    agent_runtime(say)


def disk() -> None:
    """There is room to begin with."""
    free_mb = shutil.disk_usage(settings.LOGOS_HOME).free >> 20
    if free_mb < NEEDED_MB:
        raise LogosError(
            f"The disk of {settings.LOGOS_HOME} has only {free_mb} MB left.",
            reason="disk_full",
            action=f"Free at least {NEEDED_MB} MB, or set LOGOS_HOME to a directory on another disk.",
        )


def database(say: Say) -> None:
    """The tables are as this version wants them."""
    say("Preparing the database")
    _keep_private()
    try:
        call_command("migrate", interactive=False, verbosity=0)
    except (DatabaseError, ImproperlyConfigured) as error:
        raise LogosError(
            "The database cannot be used.",
            reason="database",
            detail=str(error),
            action="Check LOGOS_DATABASE_URL and that the server runs."
            if connection.vendor != "sqlite"
            else f"Check that {settings.DATABASES['default']['NAME']} is writable and not damaged.",
        ) from error
    finally:
        # Children are forked below this process: they open connections of their own.
        connection.close()


def _keep_private() -> None:
    """What people said is in this file, and as root the state directory is open to walkers. SQLite gives the
    files beside it (-wal, -shm) the same mode."""
    if connection.vendor == "sqlite":
        path = settings.DATABASES["default"]["NAME"]
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            for name in (path, f"{path}-wal", f"{path}-shm"):
                with contextlib.suppress(FileNotFoundError):
                    os.chmod(name, 0o600)
        except OSError as error:
            raise LogosError(
                f"The database file {path} cannot be opened ({error.strerror}).",
                reason="database",
                action="Fix its owner, or set LOGOS_HOME to a directory you may write.",
            ) from error


def static_files(say: Say) -> None:
    """Style sheets and scripts lie where they are served from; nothing is done when none has changed."""
    stamp, digest = Path(settings.STATIC_ROOT) / COLLECTED, _static_digest()
    with contextlib.suppress(OSError):
        if stamp.read_text() == digest:
            return
    say("Collecting static files")
    call_command("collectstatic", interactive=False, verbosity=0, clear=True)
    stamp.write_text(digest)


def _static_digest() -> str:
    digest = hashlib.sha256(settings.STORAGES["staticfiles"]["BACKEND"].encode())
    for finder in get_finders():
        for path, storage in finder.list([]):
            digest.update(f"{path}:{storage.size(path)}:{storage.get_modified_time(path)}\n".encode())
    return digest.hexdigest()


def sandbox(say: Say) -> None:
    """A sandbox of the configured driver can be started here: tried, not assumed."""
    say("Trying a sandbox")
    broken = [check for check in driver_checks() if check.mandatory and not check.ok]
    if broken:
        raise LogosError(
            f"Sandboxes cannot be started here ({broken[0].name}): {broken[0].detail}",
            reason="sandbox_unavailable",
            action=broken[0].fix,
        )


def driver_checks() -> list[Check]:
    """What the configured driver finds about this machine."""
    return asyncio.run(drivers.get(settings.LOGOS_SANDBOX_DRIVER).doctor())


def agent_runtime(say: Say) -> None:
    """The pinned agent runtime is installed in its own environment."""
    if runtime.find(Path(settings.LOGOS_HOME)) is None:
        say(f"Installing the agent runtime (hermes-agent {runtime.VERSION}), once")
        runtime.install(Path(settings.LOGOS_HOME), lambda line: say(f"  {line}"))
