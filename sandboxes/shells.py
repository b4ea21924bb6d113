"""Join a shell in a running sandbox: for the command and for the page."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from sandboxes import drivers, records
from sandboxes.driver import Attachment, SandboxError
from sandboxes.models import Sandbox

WANTED_S = 60.0


async def is_running(row: Sandbox) -> bool:
    """Is there something to join?"""
    return bool(row.driver_state) and await drivers.get(row.driver).poll(row.driver_state) is None


def not_running(action: str = "Start it, then open the terminal again.") -> SandboxError:
    """What to say when there is not."""
    return SandboxError("This sandbox is not running.", reason="sandbox_unavailable", action=action)


async def attached(row: Sandbox) -> Attachment:
    """A connection to the sandbox; whoever asks closes it. SandboxError when it does not run."""
    if not await is_running(row):
        raise not_running()
    return await drivers.get(row.driver).attach(row.driver_state)


async def keep_wanted(sandbox_id: str, db: Callable[..., Awaitable[Any]]) -> None:
    """It is not stopped for being idle while somebody is in it. Goes on until it is cancelled."""
    while True:
        await db(records.touch, sandbox_id)
        await asyncio.sleep(WANTED_S)
