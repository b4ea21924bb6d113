"""One ``up`` from the lock to the last line: prepare, start both processes, say where they answer, keep them running."""

from __future__ import annotations

import http.client
import logging
import os
import sys
import time
from pathlib import Path

from django.conf import settings
from django.db import connections

from agents.errors import LogosError
from logos_site import __version__
from logos_site.up import addresses, demo, first_link, steps
from logos_site.up.console import Console
from logos_site.up.demo import DemoResult
from logos_site.up.lock import Lock
from logos_site.up.logfile import LogFile
from logos_site.up.supervisor import Child, Supervisor
from sandboxes import tasks
from sandboxes.models import Sandbox, State

logger = logging.getLogger(__name__)

MANAGE = Path(__file__).resolve().parent.parent.parent / "manage.py"
PROBE_EVERY_S = 0.25
SANDBOX_EVERY_S = 1.0


class Up:
    """Holds what one ``up`` knows; ``run`` does everything."""

    def __init__(self, host: str, port: int, console: Console, *, demo: bool = False) -> None:
        self._host, self._port, self._console, self._with_demo = host, port, console, demo
        self._home = Path(settings.LOGOS_HOME)
        self._supervisor: Supervisor | None = None
        self._seeded: DemoResult | None = None
        self._awaited: DemoResult | None = None
        self._answered = False
        self._probed_at = 0.0
        self._exit_code = 0

    def run(self) -> int:
        """Block until stopped; the exit code. Raises LogosError with the fix when it cannot begin."""
        lock = Lock(self._home, addresses.shown(self._host, self._port, settings.LOGOS_URL) + "/")
        lock.take()
        try:
            self._console.say(f"Logos {__version__} in {self._home}")
            addresses.check_free(self._host, self._port)
            steps.prepare(self._console.say)
            if self._with_demo:
                self._seeded = demo.seed()
            connections.close_all()
            self._keep_running()
            return self._exit_code
        finally:
            lock.release()

    def _keep_running(self) -> None:
        log = LogFile(self._home / "logs" / "logos.log")

        def say(source: str, line: str) -> None:
            log.write(source, line)
            self._console.echo(source, line)

        children = [Child(name, [sys.executable, str(MANAGE), *words]) for name, words in self._programs().items()]
        self._supervisor = Supervisor(
            children, say, environment=self._environment(), crashed=self._crashed, tick=self._probe
        )
        self._console.say("Starting")
        self._supervisor.run()
        self._console.say("Logos has stopped. Sandboxes go on by themselves; ./logos up finds them again.")
        log.close()

    def _programs(self) -> dict[str, list[str]]:
        return {"serve": ["serve", "--host", self._host, "--port", str(self._port)], "qcluster": ["qcluster"]}

    def _environment(self) -> dict[str, str]:
        environment = {**os.environ, "LOGOS_HOME": str(self._home), "PYTHONUNBUFFERED": "1"}
        environment |= {"LOGOS_HOST": self._host, "LOGOS_PORT": str(self._port)}
        if "LOGOS_ALLOWED_HOSTS" not in environment and (names := addresses.names_for(self._host)):
            environment["LOGOS_ALLOWED_HOSTS"] = ",".join([*settings.ALLOWED_HOSTS, *names])
        return environment

    # --- while it runs ----------------------------------------------------------------------------
    def _probe(self) -> None:
        """Ask until the first answer, then tell the person once."""
        now = time.monotonic()
        if self._answered:
            self._watch_sandbox()
            return
        if now - self._probed_at < PROBE_EVERY_S:
            return
        self._probed_at = now
        if answers(self._host, self._port):
            self._answered = True
            try:
                self._announce()
            except LogosError as error:
                self._console.say(f"{error.message} {error.action}")
            connections.close_all()

    def _announce(self) -> None:
        address = addresses.shown(self._host, self._port, settings.LOGOS_URL)
        say = self._console.say
        say()
        say(f"  Logos answers at {address}/")
        if self._seeded is not None:
            self._announce_demo(self._seeded)
        elif token := first_link.issue():
            say(f"  First run: open {address}/start/{token}/")
            say("  The link works once, until there is an administrator; keep it to yourself.")
        if not addresses.is_local(self._host) and not settings.LOGOS_TLS:
            say("  Others can reach this address and there is no TLS: passwords and chats travel readable.")
            say("  Put a TLS proxy in front (docs/operating.md) before you use it outside a trusted network.")
        say(f"  Log: {self._home / 'logs' / 'logos.log'}   Stop: Ctrl-C")
        say()

    def _watch_sandbox(self) -> None:
        """Say once how the demo agent's sandbox came out."""
        now = time.monotonic()
        if self._awaited is None or now - self._probed_at < SANDBOX_EVERY_S:
            return
        self._probed_at = now
        row = Sandbox.objects.filter(agent=self._awaited.agent_id).first()
        connections.close_all()
        if row is not None and row.state in (State.RUNNING, State.FAILED):
            name, self._awaited = self._awaited.agent_name, None
            outcome = "is ready" if row.state == State.RUNNING else f"could not be started: {row.reason}"
            self._console.say(f"  The sandbox of {name} {outcome}")

    def _announce_demo(self, seeded: DemoResult) -> None:
        say = self._console.say
        if seeded.password:
            say(f"  Sign in as {seeded.username} with the password {seeded.password} (shown this once)")
        else:
            say(f"  Sign in as {seeded.username}; forgotten the password? ./logos changepassword {seeded.username}")
        say(f"  The agent {seeded.agent_name} answers with the rehearsal model; its sandbox is being prepared.")
        tasks.provision_later(seeded.agent_id)
        self._awaited = seeded

    def _crashed(self, child: Child) -> None:
        say = self._console.say
        say(f"{child.name} has ended {child.crashes} times in a row. Its last lines:")
        for line in child.last_lines:
            say(f"    {line}")
        say(f"Everything is in {self._home / 'logs' / 'logos.log'}; ./logos doctor looks for the cause.")
        if not self._answered and self._supervisor is not None:
            self._exit_code = 1
            self._supervisor.stop()


def answers(host: str, port: int) -> bool:
    """Does /healthz answer there?"""
    connection = http.client.HTTPConnection(addresses.dialled(host), port, timeout=0.5)
    try:
        connection.request("GET", "/healthz", headers={"Host": "localhost"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
