"""``manage.py docs``: write ``.env.example`` and the parts of ``docs/`` that are made from code, or check that they are right."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from logos_site import reference


class Command(BaseCommand):
    help = "Write what is made from code: .env.example, and in docs/ settings, permissions, commands, addresses."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="change nothing; say which pages are not up to date")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        stale = reference.stale(settings.BASE_DIR / "docs")
        for path, text in stale.items():
            name = path.relative_to(settings.BASE_DIR)
            if check:
                self.stderr.write(f"{name} is not up to date; run: ./logos docs")
            else:
                path.write_text(text)
                self.stdout.write(f"{name} is written.")
        if check and stale:
            sys.exit(1)
