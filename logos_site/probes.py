"""Single questions about this Logos, each answered with yes or no, what was found, and the fix.

``health`` asks those that decide whether it can serve now; ``doctor`` asks all of them.
"""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from agents.errors import LogosError
from agents.routes import default_route
from logos_site.oidc import discovery
from logos_site.up import addresses, lock
from runs.models import EngineBeat
from runs.work import LEASE_S
from sandboxes.driver import Check
from sandboxes.hermes import runtime

LEAST_FREE_MB = 200
UP = "Run ./logos up."


def guarded(name: str, probe: Callable[[], Check]) -> Check:
    """The probe's answer; a failure of the probe itself is an answer too."""
    try:
        return probe()
    except (DatabaseError, OSError, LogosError) as error:
        return Check(
            name, False, str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__, UP
        )


# --- what serving needs ---------------------------------------------------------------------------
def database() -> Check:
    """The database answers."""
    if connection.vendor == "sqlite" and not Path(settings.DATABASES["default"]["NAME"]).exists():
        return Check("database", False, "not made yet", UP)  # connecting would make an empty one
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    version = f" {sqlite3.sqlite_version}" if connection.vendor == "sqlite" else ""
    return Check("database", True, f"{connection.vendor}{version} answers")


def engine() -> Check:
    """Some engine has said within its lease that it lives."""
    seen = EngineBeat.objects.order_by("-seen_at").values_list("seen_at", flat=True).first()
    if seen is None:
        return Check("engine", False, "no engine runs", UP)
    ago_s = (timezone.now() - seen).total_seconds()
    if timezone.now() - seen > timedelta(seconds=LEASE_S):
        return Check("engine", False, f"no engine was heard of for {ago_s:.0f} s", UP)
    return Check("engine", True, f"heard of {max(ago_s, 0):.0f} s ago")


def background() -> Check:
    """A cluster of background workers is alive (its status lives three seconds in the shared cache)."""
    from django_q.conf import Conf
    from django_q.status import Stat

    alive = [found for found in Stat.get_all() if found.status not in (Conf.STOPPING, Conf.STOPPED)]
    if not alive:
        return Check("background work", False, "no worker was heard of for 3 s", UP)
    return Check("background work", True, f"{sum(len(found.workers) for found in alive)} workers")


def disk() -> Check:
    """There is room below the state directory."""
    free_mb = shutil.disk_usage(settings.LOGOS_HOME).free >> 20
    fix = f"Free some space on the disk of {settings.LOGOS_HOME}."
    return Check("disk", free_mb >= LEAST_FREE_MB, f"{free_mb:,} MB free", fix if free_mb < LEAST_FREE_MB else "")


def agent_runtime() -> Check:
    """The pinned agent runtime is installed."""
    found = runtime.find(Path(settings.LOGOS_HOME))
    if found is None:
        return Check("agent runtime", False, f"hermes-agent {runtime.VERSION} is not installed", UP)
    return Check("agent runtime", True, f"hermes-agent {found.version} on {found.python}")


# --- what else doctor asks ------------------------------------------------------------------------
def python() -> Check:
    """Python is one Logos was tested with."""
    found = platform.python_version()
    fix = "" if sys.version_info >= (3, 11) else "Install Python 3.11 or newer, then run ./logos up."
    return Check("Python", not fix, f"{found} at {sys.executable}", fix)


def state_directory() -> Check:
    """The state directory is ours, and agents' users can walk through it when Logos runs as root."""
    home = Path(settings.LOGOS_HOME)
    if not os.access(home, os.W_OK | os.X_OK):
        return Check("state directory", False, f"{home} is not writable", f"Fix its owner: chown -R $(id -u) {home}")
    if os.geteuid() == 0 and (closed := runtime.first_closed(home)):
        return Check("state directory", False, f"sandboxes cannot pass through {closed}", f"chmod o+x {closed}")
    return Check("state directory", True, str(home))


def secret_files() -> Check:
    """Nobody else can read the secrets, the database or the log."""
    home = Path(settings.LOGOS_HOME)
    secrets = home / "secrets"
    private = [secrets, *secrets.glob("*"), home / "logs", home / "first_run"]
    if connection.vendor == "sqlite":
        private.append(Path(settings.DATABASES["default"]["NAME"]))
    open_ = [path for path in private if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]
    if open_:
        names = " ".join(str(path) for path in open_)
        return Check("secrets", False, f"others can read {names}", f"chmod go= {names}")
    return Check("secrets", True, "only this user can read them")


def migrations() -> Check:
    """The tables are as this version wants them."""
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        return Check("migrations", False, f"{len(missing)} not applied", UP)
    return Check("migrations", True, "all applied")


def route() -> Check:
    """There is a model to answer with."""
    found = default_route()
    if found is None:
        fix = "Open the first-run link that ./logos up prints, or run ./logos up --demo."
        return Check("model", False, "no model route yet", fix, mandatory=False)
    return Check("model", True, str(found), mandatory=False)


def sign_ins() -> Iterator[Check]:
    """Every provider of LOGOS_OIDC_PROVIDERS says what it must say about itself."""
    for one in settings.LOGOS_OIDC.values():
        name, prefix = f"sign-in {one.name}", f"LOGOS_OIDC_{one.name.upper()}"
        try:
            found = discovery.document(one)
        except discovery.Unusable as error:
            fix = f"Check {prefix}_ISSUER; {one.issuer}{discovery.WELL_KNOWN} must answer from this machine."
            yield Check(name, False, str(error), fix, mandatory=False)
            continue
        methods = found.get("code_challenge_methods_supported")
        weak = isinstance(methods, list) and "S256" not in methods
        fix = "Switch PKCE with S256 on at the provider." if weak else ""
        yield Check(
            name, not weak, "knows no PKCE with S256" if weak else f"{one.issuer} answers", fix, mandatory=False
        )


def running() -> Check:
    """An ``up`` holds this state directory and its address answers; or nothing else stands in its place."""
    host, port = settings.LOGOS_HOST, settings.LOGOS_PORT
    where = addresses.shown(host, port)
    if is_up():
        return Check("running", True, lock.holder(Path(settings.LOGOS_HOME)), mandatory=False)
    try:
        addresses.check_free(host, port)
    except LogosError as error:
        return Check("running", False, error.message, error.action, mandatory=False)
    return Check("running", False, f"Logos is not running; {where} is free", UP, mandatory=False)


def mcp_port() -> Check:
    """The further port for MCP clients answers while Logos runs, and is free while it does not."""
    name, host, port = "MCP port", settings.LOGOS_MCP_BIND, settings.LOGOS_MCP_PORT
    fix = f"End what listens on port {port}, or set LOGOS_MCP_PORT to another port, or to 0. Then start Logos anew."
    if not port:
        return Check(name, True, "none: MCP clients come in by the site's own port", mandatory=False)
    if is_up():
        answers = addresses.is_listening(host, port)
        detail = f"MCP clients come in at port {port} too" if answers else f"nothing answers at port {port}"
        return Check(name, answers, detail, "" if answers else fix, mandatory=False)
    try:
        addresses.check_free(host, port)
    except LogosError as error:
        return Check(
            name, False, f"{error.message} MCP clients will come in by the site's own port.", fix, mandatory=False
        )
    return Check(name, True, f"port {port} is free", mandatory=False)


def is_up() -> bool:
    """Is an ``up`` running on this state directory?"""
    return lock.is_held(Path(settings.LOGOS_HOME))
