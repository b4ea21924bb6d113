"""Who acts right now and through which door, so that history and the audit can say so without being told.

Doors announce themselves with ``through``; what runs inside (also in threads that asgiref starts) reads it with
``actor`` and ``door``. A request's person is looked up only when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the models' history asks this module
    from agents.models.people import User


# A walk over many ids in one request is one attempt, not many.
MAX_REFUSALS = 3


@dataclass(frozen=True, slots=True)
class Refusal:
    """Somebody asked for an action on a row they may not do it to, or (without a model) for one of no role of theirs."""

    action: str
    model: Any = None
    pk: str = ""


@dataclass(frozen=True, slots=True)
class Acting:
    """A door ("page", "api", "console", "command", "task"), how to find who stands in it, and their address."""

    door: str
    find: Callable[[], User | None]
    address: str = ""
    refusals: list[Refusal] = field(default_factory=list)
    gone: set[int] = field(default_factory=set)


_NOBODY = Acting("", lambda: None)
_reason: ContextVar[str] = ContextVar("reason", default="")
_current: ContextVar[Acting] = ContextVar("acting", default=_NOBODY)


@contextmanager
def through(door: str, who: User | Callable[[], User | None] | None, address: str = "") -> Iterator[None]:
    """Everything inside is done by ``who`` through ``door``. The inner one counts."""
    token = _current.set(Acting(door, who if callable(who) else lambda: who, address))
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def because(reason: str) -> Iterator[None]:
    """Every change inside is recorded with this reason."""
    token = _reason.set(reason)
    try:
        yield
    finally:
        _reason.reset(token)


def reason() -> str:
    """Why what is saved now is changed, where somebody said so."""
    return _reason.get()


def actor() -> User | None:
    """The person acting now; None for Logos itself and for strangers."""
    now = _current.get()
    found = now.find()
    return None if found is None or found.pk in now.gone else found


def goes(person: User) -> None:
    """``person`` is being deleted: nothing written from now on can name them as who did it."""
    if _current.get() is not _NOBODY and person.pk is not None:
        _current.get().gone.add(person.pk)


def door() -> str:
    """The door they came through; "" for Logos itself."""
    return _current.get().door


def address() -> str:
    """The network address they came from, "" when there is none."""
    return _current.get().address


def remember_refusal(action: str, model: Any = None, pk: Any = "") -> None:
    """What was refused is written down after the answer: whatever the request wrote by then was taken back."""
    refusals = _current.get().refusals
    if _current.get() is not _NOBODY and len(refusals) < MAX_REFUSALS:
        refusals.append(Refusal(action, model, str(pk)))


def refusals() -> list[Refusal]:
    """What was refused so far inside the current door."""
    return _current.get().refusals
