"""Wait for a person while a caller waits for us, and tell the caller that it is so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mcp_gateway.asked import Asked

T = TypeVar("T")

# How often it is looked whether somebody has decided, and how often a caller that can be told is told.
LOOK_S, TELL_S = 0.5, 10.0
# How long a client outside is held: below what most clients wait.
HOLD_S = 45.0


async def held(
    asked: Asked, found: T, is_open: Callable[[T], bool], look: Callable[[], Awaitable[T]], words: str, hold_s: float
) -> T:
    """What ``look`` finds as soon as it is not open any more, or ``found`` after ``hold_s``. Raises Left when the caller
    does not wait, TakenBack when it says that it does not want it any more."""
    deciding = asyncio.ensure_future(_decided(asked, found, is_open, look, words))
    try:
        with asked.waits.held(asked.key, deciding):
            return await asked.exchange.until(deciding, hold_s)
    except TimeoutError:
        return found
    finally:
        deciding.cancel()


async def _decided(
    asked: Asked, found: T, is_open: Callable[[T], bool], look: Callable[[], Awaitable[T]], words: str
) -> T:
    meta = asked.params.get("_meta")
    token = meta.get("progressToken") if isinstance(meta, dict) else None
    looks = 0
    while is_open(found):
        await asyncio.sleep(LOOK_S)
        found = await look()
        looks += 1
        if token is not None and looks % int(TELL_S / LOOK_S) == 0:
            progress = {"progressToken": token, "progress": looks, "message": words}
            asked.exchange.tell({"jsonrpc": "2.0", "method": "notifications/progress", "params": progress})
    return found
