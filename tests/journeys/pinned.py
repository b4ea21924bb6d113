"""``manage.py`` with an internet of its own: every name leads to one public address, and that to a server of the test.

python -m tests.journeys.pinned PORT serve …
"""

from __future__ import annotations

import asyncio
import os
import sys

from django.core.management import execute_from_command_line

from sandboxes.egress import addresses, proxy


def pin(port: int) -> None:
    """From now on names lead to ``port`` of this machine, whatever port was asked for."""

    async def lookup(host: str, wanted: int) -> list[str]:
        return ["1.1.1.1"]

    async def connect(address: str, wanted: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", port)

    addresses.system_lookup, proxy.connect_to = lookup, connect


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "logos_site.settings")
    pin(int(sys.argv[1]))
    execute_from_command_line(["manage.py", *sys.argv[2:]])
