"""Run whole database functions off the event loop, on a few threads of our own that keep their connections."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import connections

P = ParamSpec("P")
T = TypeVar("T")


class DatabaseThreads:
    """A fixed number of threads for database work of one engine."""

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._pool = ThreadPoolExecutor(size, thread_name_prefix=name)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result; it runs in one piece on one of the threads, with the caller's log context."""
        context = contextvars.copy_context()

        def call() -> T:
            _keep_usable_connections()
            return context.run(function, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    def close(self) -> None:
        """Close every thread's connections and end the threads. Blocks until running work is done."""
        barrier = threading.Barrier(self._size)

        def close_own() -> None:
            barrier.wait(timeout=10)
            connections.close_all()

        for future in [self._pool.submit(close_own) for _ in range(self._size)]:
            future.exception()
        self._pool.shutdown()


def _keep_usable_connections() -> None:
    """Close this thread's connections that are broken or too old. Django's default age of 0 means "until the
    request ends": here it would open the database anew, with a cold cache, for every function."""
    for connection in connections.all(initialized_only=True):
        if connection.settings_dict["CONN_MAX_AGE"] == 0:
            connection.close_at = None
        connection.close_if_unusable_or_obsolete()
