"""``manage.py serve``: pages, API, streams and the engine in one process."""

from __future__ import annotations

import logging
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from agents.errors import LogosError

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Serve pages, API, streams and the engine until SIGTERM. ./logos up starts this for you."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.LOGOS_HOST, help="address to listen on (default %(default)s)")
        parser.add_argument("--port", default=settings.LOGOS_PORT, type=int, help="port to listen on (%(default)s)")

    def handle(self, *args: Any, host: str, port: int, **options: Any) -> None:
        from logos_site.serving import Server  # installs the reactor
        from logos_site.together import Together
        from mcp_gateway import gateway
        from runs.engine import Engine

        from logos_site.asgi import application  # isort: skip

        logger.info("Serving on http://%s:%s/", host, port)
        try:
            together = Together(Engine(), gateway.Gateway())
            Server(application, together, host, port, mcp=gateway.connection).serve()
        except LogosError as error:
            raise CommandError(" ".join(filter(None, (error.message, error.detail, error.action)))) from error
