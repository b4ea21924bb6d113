"""The toolsets an agent may be given, and how a soul's four lists and an agent's choice become what a run gets (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

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
    "web": "Search the web and read pages, with a capability that brings its key.",
    "search": "Search the web, with a capability that brings its key or address.",
    "homeassistant": "See and switch a smart home, with the capability that brings its key.",
}

# What an agent gets when neither it nor its soul says anything.
DEFAULT_TOOLSETS = ("terminal", "file")

# A soul's lists, the strongest first, each with what it does to an agent that has the soul.
LISTS: dict[str, str] = {
    "enforced": "Always on.",
    "default": "On unless the agent's owner takes it away.",
    "optional": "Offered, and off at first.",
    "forbidden": "Never on.",
}


@dataclass(frozen=True, slots=True)
class ToolsetLists:
    """What a soul says about tools. A toolset is in one list or in none; in none it is allowed and not suggested."""

    enforced: tuple[str, ...] = ()
    default: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()

    def of(self, kind: str) -> tuple[str, ...]:
        names: tuple[str, ...] = getattr(self, kind)
        return names

    def as_json(self) -> dict[str, list[str]]:
        return {kind: list(names) for kind, names in asdict(self).items()}


NO_LISTS = ToolsetLists()


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


def check_lists(lists: ToolsetLists) -> ToolsetLists:
    """The lists in the table's order. Raises Invalid for an unknown name and for one that stands in two lists."""
    checked = ToolsetLists(**{kind: check_toolsets(lists.of(kind)) for kind in LISTS})
    place: dict[str, str] = {}
    for kind in LISTS:
        for name in checked.of(kind):
            if name in place:
                raise Invalid(
                    f"The toolset {name} stands in two lists: {place[name]} and {kind}.",
                    field="toolsets",
                    reason="toolset_twice",
                    action="Keep it in one of them.",
                )
            place[name] = kind
    return checked


def preselected(lists: ToolsetLists) -> tuple[str, ...]:
    """What an agent starts with when nobody chose: what the soul enforces and defaults to, or, when it lists
    neither, the usual two without what it forbids."""
    named = {*lists.enforced, *lists.default}
    return _ordered((named or set(DEFAULT_TOOLSETS)) - set(lists.forbidden))


def toolsets_for(lists: ToolsetLists, chosen: Sequence[str] | None) -> tuple[str, ...]:
    """What a run gets: ``chosen`` (None: nobody chose) with what is enforced and without what is forbidden.

    A soul changes under agents that exist: what it forbids today goes from their next run, whatever was chosen
    before, and what it enforces comes. What it does not list is allowed when chosen, so that a toolset that is new
    in the table needs no change of any soul."""
    if chosen is None:
        return preselected(lists)
    return _ordered({*chosen, *lists.enforced} - set(lists.forbidden))


def check_choice(lists: ToolsetLists, chosen: Sequence[str] | None) -> tuple[str, ...]:
    """What an agent is to have, as somebody chooses it now. Raises Invalid for what the table does not have and for
    what the soul forbids: a refusal says more than a tool that never comes. What is enforced need not be chosen."""
    if chosen is not None and (refused := [name for name in check_toolsets(chosen) if name in lists.forbidden]):
        raise Invalid(
            f"The soul forbids the toolset {refused[0]}.",
            field="toolsets",
            reason="forbidden_toolset",
            action="Leave it out, or choose another soul.",
        )
    return toolsets_for(lists, chosen)


def _ordered(names: set[str]) -> tuple[str, ...]:
    # A name the table does not have stays, at the end, so that whoever configures the run refuses it aloud.
    return (*(name for name in TOOLSETS if name in names), *sorted(names - TOOLSETS.keys()))
