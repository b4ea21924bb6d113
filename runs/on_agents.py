"""What runs do when an agent is archived or deleted, and what the pages of agents are told of them."""

from __future__ import annotations

from typing import Any

from agents import agent_pages, retiring
from agents.models import Agent, User
from runs import dispatch, work
from runs.models import Run


def connect() -> None:
    """Listen to what becomes of agents."""
    retiring.agent_archived.connect(stop_runs)
    retiring.agent_deleted.connect(stop_runs)
    agent_pages.LOSSES.append(losses)


def stop_runs(agent: Agent, by: User, **rest: Any) -> None:
    """What the agent does right now is asked to stop; the engine ends its sandbox afterwards."""
    for run_id in work.stop_all_of(agent.pk, by):
        dispatch.announce(run_id)


def losses(agent: Agent) -> list[str]:
    """What stays of a deleted agent's runs, and what ends."""
    active = Run.objects.filter(agent=agent).active().count()
    kept = "Its runs and chats stay readable by those who could read them."
    doing = (
        "What it does right now is stopped: one run."
        if active == 1
        else f"What it does right now is stopped: {active} runs."
    )
    return [*([doing] if active else []), kept]
