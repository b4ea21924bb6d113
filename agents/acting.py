"""Who acts right now and through which door, so that history and the audit can say so without being told.

Doors announce themselves with ``through``; what runs inside (also in threads that asgiref starts) reads it with
``actor`` and ``door``. A request's person is looked up only when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the models' history asks this module
    from agents.models.people import User


@dataclass(frozen=True, slots=True)
class Acting:
    """A door ("page", "api", "console", "command", "task"), how to find who stands in it, and their address."""

    door: str
    find: Callable[[], User | None]
    address: str = ""


_NOBODY = Acting("", lambda: None)
_current: ContextVar[Acting] = ContextVar("acting", default=_NOBODY)


@contextmanager
def through(door: str, who: User | Callable[[], User | None] | None, address: str = "") -> Iterator[None]:
    """Everything inside is done by ``who`` through ``door``. The inner one counts."""
    token = _current.set(Acting(door, who if callable(who) else lambda: who, address))
    try:
        yield
    finally:
        _current.reset(token)


def actor() -> User | None:
    """The person acting now; None for Logos itself and for strangers."""
    return _current.get().find()


def door() -> str:
    """The door they came through; "" for Logos itself."""
    return _current.get().door


def address() -> str:
    """The network address they came from, "" when there is none."""
    return _current.get().address
