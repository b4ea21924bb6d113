"""What sandboxes do when an agent is deleted, and what the pages of agents are told of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from agents import agent_pages, duplicating, preparing, retiring
from agents.models import Agent, User
from sandboxes import drivers, records, tasks, telling
from sandboxes.models import Sandbox


def connect() -> None:
    """Listen to what becomes of agents, and take part in their pages."""
    retiring.agent_deleted.connect(remove_files)
    preparing.agent_wanted.connect(prepare)
    duplicating.agent_copied.connect(copy)
    duplicating.OBSTACLES.append(obstacle)
    agent_pages.LOSSES.append(losses)
    agent_pages.TABS.append(agent_pages.Tab("files", "Files", "sandboxes:agent-files", "workspace.view"))
    agent_pages.TABS.append(agent_pages.Tab("tools", "Tools", "sandboxes:agent-tools", "tool.view"))
    agent_pages.SECTIONS.append(agent_pages.Section("sandboxes/_section.html", telling.told, is_aside=True))
    agent_pages.CARDS.append(telling.on_cards)


def remove_files(agent: Agent, **rest: Any) -> None:
    """In the background, once its sandbox has ended."""
    transaction.on_commit(lambda: tasks.remove_files_later(agent.pk))


def prepare(agent: Agent, **rest: Any) -> None:
    """Start its sandbox in the background, and say so from the first moment."""

    def begin() -> None:
        records.asked_to_run(agent.pk)
        tasks.provision_later(agent.pk)

    transaction.on_commit(begin)


def copy(source: Agent, agent: Agent, parts: Sequence[str], prepare: bool, **rest: Any) -> None:
    """In the background, and then prepare the sandbox."""

    def begin() -> None:
        records.asked(agent.pk)
        tasks.copy_files_later(source.pk, agent.pk, parts, prepare)

    transaction.on_commit(begin)


def obstacle(user: User, source: Agent, part: str) -> str:
    """Why nothing can be copied from this sandbox; "" when it can."""
    row = Sandbox.objects.filter(agent=source).first()
    if row is None or row.files_removed_at is not None:
        return "It has no sandbox yet, so there is nothing in it."
    if not drivers.get(row.driver).keeps_files_on_host:
        return f"The sandbox driver {row.driver} does not keep them where Logos can copy them."
    return ""


def losses(agent: Agent) -> list[str]:
    """What a deletion takes from disk."""
    return [
        "Its sandbox is stopped, with everything that runs in it.",
        "Its files are removed from this machine: workspace, home directory, notes and sessions. There is no copy.",
    ]
