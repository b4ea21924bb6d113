"""What upper rooms and other pages add to the pages of agents: tabs, sections of the overview, lines on a card.

The page of an agent knows nothing of sandboxes and runs; whoever does adds to these lists when its app is ready::

    agent_pages.TABS.append(Tab("secrets", "Secrets", "agents:agent-secrets", "agent.edit"))
    agent_pages.SECTIONS.append(Section("sandboxes/_section.html", read))
    agent_pages.CARDS.append(facts_of_many)

A tab's own page extends ``agents/area.html``, fills its block ``body`` and renders with ``frame(user, agent, "secrets")``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from agents import learning, permissions
from agents.actions import ACTIONS
from agents.models import Agent, User
from agents.standing import reasons

Read = Callable[[User, Agent], Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Tab:
    """A page of an agent's: its name, what the tab says, its address (by the agent's id), and who is offered it."""

    name: str
    label: str
    url_name: str
    action: str = "agent.view"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the overview: a template, and what it is drawn with as ``part`` (None: leave it out)."""

    template: str
    read: Read
    is_aside: bool = False


TABS: list[Tab] = [
    Tab("overview", "Overview", "agents:agent-detail"),
    Tab("edit", "Composition", "agents:agent-edit", "agent.edit"),
    Tab("capabilities", "Capabilities", "agents:agent-capabilities", "capability.view"),
    Tab("secrets", "Secrets", "agents:agent-secrets", "secret.view"),
    Tab("documents", "Documents", "agents:agent-documents", "document.view"),
    Tab("notes", "Notes", "agents:agent-notes", "note.view"),
]
SECTIONS: list[Section] = []
# Facts for the cards of many agents at once, by the agent's id: {"state": pill, "line": sentence, …}.
CARDS: list[Callable[[User, Sequence[Agent]], Mapping[str, Mapping[str, Any]]]] = []
# Sentences about what a deletion takes along or leaves.
LOSSES: list[Callable[[Agent], list[str]]] = []


def rows() -> QuerySet[Agent]:
    """Agents with everything their pages show of them."""
    return Agent.objects.alive().select_related("owner", "soul", "route__provider")


def frame(user: User, agent: Agent, tab: str = "overview") -> dict[str, Any]:
    """What every tab of an agent shows around its own part."""
    standing = permissions.standing_of(user, agent)

    def may(action: str) -> bool:
        return bool(reasons(ACTIONS[action], standing))

    return {
        "agent": agent,
        "may": {name: may(f"agent.{name}") for name in ("chat", "edit", "manage", "learn")},
        "learns_until": agent.__dict__["learns_until"]
        if "learns_until" in agent.__dict__
        else learning.until(agent.pk),
        "standing": standing,
        "may_create": permissions.may(user, "agent.create"),
        "tabs": [
            {"url": reverse(each.url_name, args=[agent.pk]), "label": each.label, "current": each.name == tab}
            for each in TABS
            if may(each.action)
        ],
    }


def sections(user: User, agent: Agent) -> list[dict[str, Any]]:
    """The parts of the overview that others add and that have something to say."""
    found = [(each, each.read(user, agent)) for each in SECTIONS]
    return [
        {"template": each.template, "part": part, "is_aside": each.is_aside} for each, part in found if part is not None
    ]


def on_cards(user: User, agents: Sequence[Agent]) -> None:
    """Put what others know of these agents on each as ``facts``."""
    facts: dict[str, dict[str, Any]] = {agent.pk: {} for agent in agents}
    for read in CARDS if agents else ():
        for agent_id, known in read(user, agents).items():
            facts[agent_id].update(known)
    for agent in agents:
        agent.facts = facts[agent.pk]


def losses(agent: Agent) -> list[str]:
    """What becomes of an agent's things when it is deleted, one sentence each."""
    shared = "Nobody can send it a message any more; those it is shared with lose it too."
    return [shared, *(sentence for each in LOSSES for sentence in each(agent)), "Its name is free for another agent."]
