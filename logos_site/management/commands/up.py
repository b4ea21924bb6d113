"""``./logos up``: prepare everything, keep it running, and say where it answers."""

from __future__ import annotations

import logging
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from agents.errors import LogosError
from logos_site.up.console import Console
from logos_site.up.running import Up


class Command(BaseCommand):
    help = "Prepare the state directory and run Logos until Ctrl-C or SIGTERM. Running it again repairs."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.LOGOS_HOST, help="address to listen on (default %(default)s)")
        parser.add_argument("--port", default=settings.LOGOS_PORT, type=int, help="port to listen on (%(default)s)")
        parser.add_argument("--demo", action="store_true", help="make an administrator and a demo agent")

    def handle(self, *args: Any, host: str, port: int, demo: bool, **options: Any) -> None:
        # The console is for the person; what this process itself logs matters only when it is a problem.
        logging.getLogger().setLevel(logging.WARNING)
        try:
            code = Up(host, port, Console(), demo=demo).run()
        except LogosError as error:
            sys.exit("logos: " + " ".join(filter(None, (error.message, error.action))))
        except KeyboardInterrupt:
            sys.exit("logos: stopped before it was ready.")
        sys.exit(code)
