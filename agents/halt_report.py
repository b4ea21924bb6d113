"""What a halt asked to stop and what confirmed, as far as a person may see it: for the page, the API and the command."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, F, Q

from agents import halting, permissions
from agents.models import Agent, Halt, HaltStop, StopKind, User

# More rows than this are counted and not listed.
SHOWN = 50
MANY: dict[str, str] = {
    StopKind.ENGINE: "Engines",
    StopKind.RUN: "Runs",
    StopKind.SANDBOX: "Sandboxes",
    StopKind.TERMINAL: "Terminals",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """How many of one kind were asked, and how many of them have confirmed."""

    label: str
    requested: int
    confirmed: int


@dataclass(frozen=True, slots=True)
class Report:
    """``rows`` are those of agents the reader sees, unconfirmed ones first; ``hidden`` is how many more there are."""

    counts: tuple[Asked, ...]
    rows: tuple[HaltStop, ...]
    hidden: int
    requested: int
    confirmed: int

    @property
    def is_moving(self) -> bool:
        return self.confirmed < self.requested


def report(user: User, halt: Halt) -> Report:
    """For somebody who may take the halt back: who may stop a thing learns how much it was, of others too, but names
    only what they see."""
    if halt.is_on:
        halting.confirm(halt)
    stops = HaltStop.objects.filter(halt=halt)
    counted = stops.order_by().values("kind").annotate(asked=Count("pk"), done=Count("confirmed_at")).order_by("kind")
    counts = tuple(Asked(MANY[each["kind"]], each["asked"], each["done"]) for each in counted)
    agents = permissions.visible(user, Agent.objects.all()).order_by().values("pk")
    mine = stops.filter(Q(agent=None) | Q(agent__in=agents)).select_related("agent")
    rows = tuple(mine.order_by(F("confirmed_at").asc(nulls_first=True), "kind", "pk")[:SHOWN])
    asked, done = sum(each.requested for each in counts), sum(each.confirmed for each in counts)
    return Report(counts, rows, asked - len(rows), asked, done)
