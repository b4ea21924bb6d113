"""``manage.py doctor``: what works, what does not, and the exact fix."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils.functional import cached_property

from agents.errors import LogosError
from logos_site import probes
from logos_site.up import steps
from sandboxes.driver import Check


class Command(BaseCommand):
    help = "Look at everything Logos needs and print what works, what does not, and the exact fix."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        checks = list(examine())
        is_well = all(check.ok for check in checks if check.mandatory)
        if options["json"]:
            self.stdout.write(json.dumps({"ok": is_well, "checks": [asdict(check) for check in checks]}, indent=2))
        else:
            for check in checks:
                self._print(check)
            self.stdout.write("")
            self.stdout.write("Everything needed is there." if is_well else "Something that Logos needs is missing.")
        if not is_well:
            sys.exit(1)

    @cached_property
    def _marks(self) -> dict[str, str]:
        return {"ok": self.style.SUCCESS("ok  "), "FAIL": self.style.ERROR("FAIL"), "note": self.style.WARNING("note")}

    def _print(self, check: Check) -> None:
        mark = "ok" if check.ok else "FAIL" if check.mandatory else "note"
        self.stdout.write(f"{self._marks[mark]}  {check.name:<22} {check.detail}")
        if not check.ok and check.fix:
            self.stdout.write(f"      {'':<22} {check.fix}")


def examine() -> Iterator[Check]:
    """Every check, cheap ones first. Asking does not change anything."""
    yield probes.python()
    yield probes.guarded("state directory", probes.state_directory)
    yield probes.guarded("secrets", probes.secret_files)
    yield probes.guarded("disk", probes.disk)
    yield (answer := probes.guarded("database", probes.database))
    if answer.ok:
        yield (tables := probes.guarded("migrations", probes.migrations))
        if tables.ok:
            yield probes.guarded("model", probes.route)
    yield from probes.sign_ins()
    yield from _driver()
    yield probes.guarded("agent runtime", probes.agent_runtime)
    yield probes.running()
    yield probes.mcp_port()
    if probes.is_up() and answer.ok:
        yield probes.guarded("engine", probes.engine)
        yield probes.guarded("background work", probes.background)


def _driver() -> Iterator[Check]:
    try:
        yield from steps.driver_checks()
    except LogosError as error:
        yield Check(f"sandbox driver {settings.LOGOS_SANDBOX_DRIVER}", False, error.message, error.action)
