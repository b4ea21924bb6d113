"""What halts forbid, as values: pure rules that doors, the router and the proxies ask, and tables test.

A halt refuses two things, ``work`` (runs, model calls, connections, terminals, starts) and ``decisions`` (of what
waits for a person), and gives them back in steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agents.errors import Code, LogosError

# How far a halt is taken back, in order; the values of ``agents.models.Stage``.
STAGES = ("stopped", "deciding", "chosen", "lifted")
# What concerns one agent or person has no chosen agents between deciding and the end.
STEPS = {
    "everything": STAGES,
    "server": STAGES,
    "agent": ("stopped", "deciding", "lifted"),
    "person": ("stopped", "deciding", "lifted"),
}

ACTION = "Nothing is lost: it can go on once somebody who may resumes it."


@dataclass(frozen=True, slots=True)
class Held:
    """One halt that is on."""

    id: str
    scope: str
    subject: str = ""
    name: str = ""
    reason: str = ""
    stage: str = "stopped"
    chosen: frozenset[str] = frozenset()

    def concerns(self, agent_id: str = "", person_id: int | None = None, servers: Iterable[str] = ()) -> bool:
        """Is this agent's work, asked for by this person, on these servers, what the halt is about?"""
        if self.scope == "agent":
            return bool(agent_id) and agent_id == self.subject
        if self.scope == "person":
            return person_id is not None and str(person_id) == self.subject
        return self.scope == "everything" or self.subject in servers

    def forbids_work(self, agent_id: str = "") -> bool:
        """Whatever it concerns may not work, but for agents that were chosen to go first."""
        return not (self.stage == "chosen" and agent_id in self.chosen)

    @property
    def forbids_decisions(self) -> bool:
        return self.stage == "stopped"

    @property
    def sentence(self) -> str:
        """What is stopped, and why, for whoever meets it."""
        what = {
            "everything": "Everything is stopped",
            "agent": f"{self.name or 'This agent'} is stopped",
            "person": f"What {self.name or 'this person'} asks for is stopped",
            "server": f"The server {self.name or self.subject} is stopped",
        }[self.scope]
        return f"{what}: {self.reason.rstrip('.')}." if self.reason else f"{what}."


@dataclass(frozen=True, slots=True)
class Halts:
    """Every halt that is on at one moment; falsy when nothing is stopped."""

    held: tuple[Held, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.held)

    def __iter__(self) -> Iterator[Held]:
        return iter(self.held)

    def of_work(self, agent_id: str = "", person_id: int | None = None, servers: Iterable[str] = ()) -> Held | None:
        """The halt because of which this may not begin or go on; None when it may."""
        servers = tuple(servers)
        for each in self.held:
            if each.concerns(agent_id, person_id, servers) and each.forbids_work(agent_id):
                return each
        return None

    def of_decision(self, agent_id: str = "", person_id: int | None = None, servers: Iterable[str] = ()) -> Held | None:
        """The halt because of which nothing about this may be decided now."""
        servers = tuple(servers)
        for each in self.held:
            if each.concerns(agent_id, person_id, servers) and each.forbids_decisions:
                return each
        return None


NOTHING = Halts()


class Halted(LogosError):
    """What was asked for is stopped, for now."""

    def __init__(self, held: Held) -> None:
        super().__init__(held.sentence, reason=Code.HALTED, action=ACTION, detail=held.id, permanent=False)
        self.held = held


def stages_after(scope: str, stage: str) -> tuple[str, ...]:
    """The steps that are left."""
    steps = STEPS[scope]
    return steps[steps.index(stage) + 1 :]
