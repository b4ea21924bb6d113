"""The scripted OpenAI-compatible provider of the inference tests, on a thread of its own for tests that block."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from tests.sandboxes.inference.upstream import Provider, running_provider


@contextlib.contextmanager
def provider_in_thread() -> Iterator[Provider]:
    """A provider that answers on a real socket until the end of the block."""
    loop = asyncio.new_event_loop()
    ready: list[Provider] = []
    started, ended = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with running_provider() as provider:
            ready.append(provider)
            started.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(5)
    try:
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(5)
        loop.close()
