"""Where a call that has to be asked for goes: to the desk a room above has put here; without one it is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from agents.errors import LogosError


@dataclass(frozen=True, slots=True)
class Question:
    """One call as a person decides it. ``subject`` is whole: whoever shows it masks what is secret."""

    call_id: str
    agent_id: str
    run_id: str
    caller_id: Any
    tool: str
    title: str
    subject: dict[str, Any] = field(repr=False)
    reason: str
    findings: tuple[dict[str, str], ...] = ()
    severity: str = ""
    policy_version: str = ""
    purpose: str = ""
    is_for_operators: bool = False


@dataclass(frozen=True, slots=True)
class Word:
    """What is known of a question: pending, allowed, denied or expired, and what whoever decided said."""

    id: str
    state: str
    note: str = ""


class Desk(Protocol):
    """Takes questions and tells what became of them. Both are called in a thread with the database."""

    def ask(self, question: Question) -> Word: ...

    def look(self, approval_id: str) -> Word: ...


_desks: list[Desk] = []


def register(desk: Desk) -> None:
    """From now on questions go there."""
    _desks[:] = [desk]


def desk() -> Desk:
    """Where questions go. LogosError when nobody can be asked: then nothing is done."""
    if not _desks:
        raise LogosError(
            "This has to be asked for, and nobody can be asked here.",
            reason="nobody_to_ask",
            action="Allow it with a rule, or do without it.",
        )
    return _desks[0]
