"""The toolsets an agent may be given: the runtime's names and a sentence about each for the pages."""

from __future__ import annotations

from collections.abc import Iterable

from agents.errors import Invalid

TOOLSETS: dict[str, str] = {
    "terminal": "Run shell commands and background processes in the sandbox.",
    "file": "Read, write, search and patch files.",
    "code_execution": "Write small Python programs that call the other tools.",
    "memory": "Keep notes about the work and the person between conversations.",
    "skills": "Write down how something is done and follow it next time.",
    "session_search": "Look through the agent's own earlier conversations.",
    "todo": "Keep a list of steps during long work.",
    "delegation": "Hand parts of the work to helpers of its own.",
    "vision": "Look at pictures.",
}


def check_toolsets(names: Iterable[str]) -> tuple[str, ...]:
    """The names, each once and in the table's order. Raises Invalid for a name the table does not have."""
    wanted = set(names)
    if unknown := sorted(wanted - TOOLSETS.keys()):
        raise Invalid(
            f"There is no toolset called {unknown[0][:60]}.",
            field="toolsets",
            reason="unknown_toolset",
            action=f"Choose among {', '.join(TOOLSETS)}.",
        )
    return tuple(name for name in TOOLSETS if name in wanted)
