"""``manage.py docs``: write the parts of ``docs/`` that are made from code, or check that they are right."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from logos_site import reference


class Command(BaseCommand):
    help = "Write the parts of docs/ that are made from code: settings, permissions, commands, addresses of the API."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="change nothing; say which pages are not up to date")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        stale = reference.stale(settings.BASE_DIR / "docs")
        for path, text in stale.items():
            if check:
                self.stderr.write(f"docs/{path.name} is not up to date; run: ./logos docs")
            else:
                path.write_text(text)
                self.stdout.write(f"docs/{path.name} is written.")
        if check and stale:
            sys.exit(1)
