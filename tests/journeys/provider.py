"""The scripted providers of the inference tests, on a thread of their own for tests that block."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

from tests.sandboxes.inference.upstream import running_provider


@contextlib.contextmanager
def provider_in_thread(
    running: Callable[[], AbstractAsyncContextManager[Any]] = running_provider,
) -> Iterator[Any]:
    """A provider that answers on a real socket until the end of the block."""
    loop = asyncio.new_event_loop()
    ready: list[Any] = []
    started, ended = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with running() as provider:
            ready.append(provider)
            started.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(120)
    try:
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(120)
        loop.close()
