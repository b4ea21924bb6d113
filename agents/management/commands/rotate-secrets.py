"""Seal every stored secret with the newest key, and look after the keys."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from agents import audit, rotation
from agents.command_line import LogosCommand


class Command(LogosCommand):
    """``rotate-secrets [--check|--new-key|--forget-old-keys]``."""

    help = "Seal every stored secret with the newest seal key; may be stopped and run again at any time."
    exits = "exit codes: 0 done, 1 refused, or with --check: something is not under the newest key"

    def add_arguments(self, parser: CommandParser) -> None:
        choice = parser.add_mutually_exclusive_group()
        choice.add_argument("--check", action="store_true", help="say what is sealed with which key; change nothing")
        choice.add_argument(
            "--new-key", action="store_true", help="put a new key first in the state directory; then restart Logos"
        )
        choice.add_argument(
            "--forget-old-keys", action="store_true", help="keep only the newest key, if nothing else is used"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["check"]:
            self._check()
        elif options["new_key"]:
            rotation.add_key()
            self.say("There is a new key. Restart Logos, so that every process knows it, then run rotate-secrets.")
        elif options["forget_old_keys"]:
            self.say(f"{rotation.forget_old_keys()} old keys are forgotten. Restart Logos.")
        else:
            changed = rotation.reseal()
            if changed:
                audit.note("keys_rotated", rows=changed)
            self.say(f"{changed} rows are sealed anew.")
            self._check()

    def _check(self) -> None:
        counts = rotation.look()
        self.print_table(
            ("SEALED", "NEWEST KEY", "OLDER KEY", "NO KEY OPENS IT"),
            ((name, count.newest, count.older, count.broken) for name, count in counts.items()),
        )
        for name, count in counts.items():
            if count.broken:
                shown = ", ".join(count.broken_ids[:5])
                self.say(f"{name}: no configured key opens {shown}. Restore the key, or enter the secret again.")
        if any(count.older or count.broken for count in counts.values()):
            self.end(1)
