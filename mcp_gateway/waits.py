"""Requests of callers that wait for a person or for a sandbox, so that whoever made one can take it back by its id."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Whose request, at which address, by which id.
Key = tuple[str, str, str]

CANCELLED = "The caller cancelled this."


class TakenBack(Exception):
    """The caller has taken its request back with ``notifications/cancelled``, and may still listen."""


class Waits:
    """Those of one process that wait now."""

    def __init__(self) -> None:
        self._open: dict[Key, list[asyncio.Future[Any]]] = {}

    @contextmanager
    def held(self, key: Key, waiting: asyncio.Future[Any]) -> Iterator[None]:
        """While inside, ``waiting`` is what a cancellation ends. Raises TakenBack when one did."""
        self._open.setdefault(key, []).append(waiting)
        try:
            yield
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not waiting.cancelled() or (task is not None and task.cancelling()):
                raise
            raise TakenBack from None
        finally:
            left = [each for each in self._open[key] if each is not waiting]
            if left:
                self._open[key] = left
            else:
                del self._open[key]

    def of(self, key: Key) -> list[asyncio.Future[Any]]:
        """What waits for this request: more than one where clients of an agent use one id."""
        return [each for each in self._open.get(key, ()) if not each.done()]


def key_of(id: Any) -> str:
    """A caller's id as a key: 1 and "1" are two."""
    return f"{type(id).__name__}:{id}"
