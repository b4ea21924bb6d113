"""A Logos as people get it: ``manage.py up`` on a fresh state directory, and a real Chromium in front of it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.journeys.house import (
    PROJECT,
    at_home,
    environment,
    furnish,
    keepers_of,
    make_home,
    processes_of,
    until,
)
from tests.ports import free_port

# What a page shows is waited for; playwright's own five seconds are few for a busy machine.
expect.set_options(timeout=90_000)

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
QUIET = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
)

T = TypeVar("T")


class Site:
    """One ``up``; what it printed tells where it answers."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.printed = home / "printed.txt"
        with self.printed.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--port", str(free_port())],
                cwd=PROJECT,
                env=environment(home),
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.first_link = until(lambda: self._said(r"First run: open (\S+)"), "up prints the link", 180)
        self.url = self.first_link.partition("/start/")[0]
        # Playwright keeps an event loop in the test's thread, where Django refuses to ask the database.
        self._rows = ThreadPoolExecutor(1)

    def _said(self, pattern: str) -> str:
        assert self.process.poll() is None, self.printed.read_text()
        found = re.search(pattern, self.printed.read_text())
        return found[1] if found else ""

    def rows(self, look: Callable[[], T]) -> T:
        """Ask the database on another thread."""
        return self._rows.submit(look).result(120)

    def kill_serve(self) -> None:
        """kill -9 of the serving process; ``up`` starts it again."""
        (pid,) = [pid for pid, words in processes_of(self.home).items() if " serve " in f"{words} "]
        with contextlib.suppress(ProcessLookupError):
            import os

            os.kill(pid, signal.SIGKILL)

    def stop(self) -> float:
        """SIGTERM to ``up``; the seconds until it has ended."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)
        return time.monotonic() - began

    def close(self) -> None:
        """End everything; AssertionError when a process is left behind."""
        if self.process.poll() is None:
            self.stop()
        self.rows(self._end_sandboxes)
        self._rows.shutdown()
        until(lambda: not processes_of(self.home) and not keepers_of(self.home), "every process has ended", 60.0)

    def _end_sandboxes(self) -> None:
        from django.db import connection

        from sandboxes import drivers
        from sandboxes.models import Sandbox

        for box in Sandbox.objects.exclude(driver_state={}):
            asyncio.run(drivers.get(box.driver).stop(box.driver_state, now=True))
        connection.close()


@contextlib.contextmanager
def a_site() -> Iterator[Site]:
    """A fresh one; everything is gone afterwards."""
    home = make_home()
    furnish(home)
    site = None
    try:
        site = Site(home)
        with at_home(home):
            yield site
            site.close()
    finally:
        if site is not None and site.process.poll() is None:
            site.process.kill()
            site.process.wait(60)
            time.sleep(0.5)  # its children end with it, and write no more
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def a_browser() -> Iterator[Browser]:
    """The machine's Chromium, told to talk to nobody else."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET])
        try:
            yield browser
        finally:
            browser.close()


class Complaints:
    """What a page complained about: errors of scripts, of the console, and of the content security policy."""

    def __init__(self, page: Page) -> None:
        self.heard: list[str] = []
        self.expected: list[str] = []
        page.on("pageerror", lambda error: self.heard.append(str(error)))
        page.on("console", self._on_console)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.heard.append(f"{message.type}: {message.text}")

    @property
    def unexpected(self) -> list[str]:
        return [words for words in self.heard if not any(known in words for known in self.expected)]
