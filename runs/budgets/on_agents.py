"""What the page of an agent shows of its budgets."""

from __future__ import annotations

from typing import Any

from agents import permissions
from agents.models import Agent, User
from runs.budgets import setting, showing

SHOWN = 3


def section(user: User, agent: Agent) -> dict[str, Any] | None:
    """Its budgets that are on, the newest first; None when there are none and this person may set none."""
    rows = list(setting.seen_by(user).filter(agent=agent, is_active=True).order_by("-pk")[:SHOWN])
    may_set = bool(permissions.may(user, "agent.limit") and permissions.allows(user, "agent.limit", agent))
    if not rows and not may_set:
        return None
    return {"agent": agent, "budgets": showing.shown(user, rows), "may_set": may_set}
