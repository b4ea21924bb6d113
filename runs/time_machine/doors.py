"""Drafts of gate rules for the command ``what-if``, and what changes of them would have done for their history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from agents import gate_rules, permissions
from agents.gate import drafts
from agents.models import Policy, User
from runs.time_machine import commands
from runs.time_machine.commands import CommandOutcome
from sandboxes import foresight


@dataclass(frozen=True, slots=True)
class Told:
    """An outcome as the command prints it."""

    outcome: CommandOutcome

    @property
    def head(self) -> tuple[str, ...]:
        return ("COMMAND", "AGENT", "NOW", "WITH THE DRAFT", "RULE", "COUNT")

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        return [(c.command[:80], c.agent.name, c.before, c.after, c.rule, c.count) for c in self.outcome.changes]

    @property
    def sentence(self) -> str:
        left = self.outcome.unclear
        return self.outcome.figures + (f" {left} are not whole on record, and were left out." if left else "")

    @property
    def is_stricter(self) -> bool:
        return bool(self.outcome.newly_blocked or self.outcome.newly_asked or self.outcome.newly_admin)


def try_draft(user: User, name: str, text: str, days: int) -> Told:
    """The draft in ``text`` for the policy of this name or id, or "-" for every agent."""
    policies = Policy.objects.filter(Q(pk=name) | Q(name=name))
    policy = None if name == "-" else permissions.fetch(user, "gate.edit", policies)
    return Told(commands.replay(user, policy, commands.drafted(user, policy, drafts.read(text)), days))


def connect() -> None:
    """Be where drafts are tried and changes are told."""
    foresight.DRAFTS["gate"] = try_draft
    gate_rules.FORESEEN.append(commands.figures)
