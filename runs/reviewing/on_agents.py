"""What the page of an agent shows of its reviewer: whether it is on, and the switch for who may turn it."""

from __future__ import annotations

from typing import Any

from agents import permissions
from agents.models import Agent, User
from runs.reviewing import setting


def section(user: User, agent: Agent) -> dict[str, Any] | None:
    """None where it is off and this person could not switch it."""
    row = setting.switched(agent)
    may_switch = bool(permissions.may(user, "reviewer.switch") and permissions.allows(user, "reviewer.switch", agent))
    if not row.is_on and not may_switch:
        return None
    return {"agent": agent, "row": row, "may_switch": may_switch, "is_house_on": setting.site().is_on}
