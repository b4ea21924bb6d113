"""What an agent's sandbox may use: the site's numbers, and an agent's own where somebody set them.

Whoever manages an agent may give it less than the site does; more is for operators and admins, because it is taken
from everybody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from agents.errors import Invalid
from agents.models import Agent, Role, User


@dataclass(frozen=True, slots=True)
class Limit:
    """One number: the words around it, and between what it must lie."""

    name: str
    label: str
    unit: str
    least: int
    most: int
    hint: str

    @property
    def setting(self) -> str:
        return f"LOGOS_SANDBOX_{self.name.upper()}"

    @property
    def usual(self) -> int:
        """What the site gives."""
        value: int = getattr(settings, self.setting)
        return value


LIMITS = {
    limit.name: limit
    for limit in (
        Limit("memory_mb", "Memory", "MiB", 256, 1 << 20, "Of everything that runs in it together."),
        Limit("cpu_percent", "Processor time", "%", 10, 25_600, "100 is one processor."),
        Limit("processes", "Processes", "", 60, 30_000, "And threads, at the same time."),
        Limit("open_files", "Open files", "", 256, 1 << 20, "In each process."),
        Limit("disk_mb", "Files", "MiB", 100, 1 << 24, "Workspace, home directory and what the runtime keeps."),
        Limit("file_mb", "Largest file", "MiB", 1, 1 << 24, "A single one."),
        Limit("tmp_mb", "Temporary files", "MiB", 16, 1 << 20, "In /tmp: kept in memory, gone when the sandbox stops."),
    )
}


def of(agent: Agent) -> dict[str, int]:
    """What its sandbox gets at its next start."""
    return {name: agent.limits.get(name, limit.usual) for name, limit in LIMITS.items()}


def check(user: User, values: Mapping[str, Any], held: Mapping[str, int]) -> dict[str, int]:
    """``values`` as an agent keeps them: only what was set and differs from the site's. Invalid for a number out of
    range, or above the site's unless ``user`` may give more, or the agent has it already."""
    found = {}
    for name, value in values.items():
        limit = LIMITS.get(name)
        if limit is None:
            raise Invalid(
                f"There is no limit called {name}.", field="limits", action=f"Choose among {', '.join(LIMITS)}."
            )
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not limit.least <= value <= limit.most:
            raise Invalid(
                f"{limit.label} must be a whole number between {limit.least:,} and {limit.most:,}.", field=name
            )
        may_exceed = user.role in (Role.ADMIN, Role.OPERATOR) or held.get(name) == value
        if value > limit.usual and not may_exceed:
            raise Invalid(
                f"{limit.label} may be {limit.usual:,} {limit.unit}".rstrip() + " at most.",
                field=name,
                action="Ask an operator or an admin for more.",
            )
        if value != limit.usual:
            found[name] = value
    return found


def given(user: User, agent: Agent) -> dict[str, int]:
    """Those of the agent's own limits that ``user`` may give an agent of theirs: a copy has no more than they may."""
    found: dict[str, int] = {}
    for name, value in agent.limits.items():
        with suppress(Invalid):
            found |= check(user, {name: value}, {})
    return found


def told(agent: Agent) -> list[dict[str, Any]]:
    """Every limit with its number, whether it is the agent's own, and the words for it."""
    numbers = of(agent)
    return [
        {"name": name, "label": limit.label, "value": numbers[name], "unit": limit.unit, "usual": limit.usual,
         "is_own": name in agent.limits, "hint": limit.hint}
        for name, limit in LIMITS.items()
    ]  # fmt: skip
