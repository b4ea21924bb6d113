"""Tell people how the sandbox of an agent is, honestly: what is known, what is being done, what will happen next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from agents import permissions, sandbox_limits
from agents.models import Agent, User
from sandboxes.models import Desired, Sandbox, State
from sandboxes.walls import explained

# Background work that has not begun after this long is not at work; the first message will do.
PATIENCE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Telling:
    """A state of the ten words (or "ready", "asleep"), a sentence, and whether the page should ask again soon."""

    state: str
    sentence: str
    is_moving: bool = False


def tell(row: Sandbox | None, is_archived: bool, now: datetime) -> Telling:
    """What to say of this sandbox; None is one that was never wanted."""
    if is_archived:
        return Telling("stopped", "It stays stopped while the agent is archived. Its files are kept.")
    if row is None:
        return Telling("asleep", "Not made yet. The first message makes it, or you prepare it now.")
    if row.state == State.STARTING:
        return Telling("preparing", f"{row.progress or 'Preparing the sandbox'}…", is_moving=True)
    if row.state == State.RUNNING:
        return Telling("ready", f"The agent runtime in it answers. {row.reason}".strip())
    if row.asked_at is not None:
        if now - row.asked_at < PATIENCE:
            return Telling("queued", "Waiting for background work to begin…", is_moving=True)
        return Telling("queued", "Background work has not begun. The first message prepares it in any case.")
    again = _by_itself(row, now)
    if row.state == State.FAILED:
        then = again or "The next message tries again."
        return Telling("failed", f"{row.reason or 'It could not be prepared.'} {then}")
    return Telling("asleep", f"{row.reason} {again or 'The next message starts it.'}".strip())


def _by_itself(row: Sandbox, now: datetime) -> str:
    """What Logos will do without being asked; "" for nothing."""
    if row.desired != Desired.RUNNING:
        return ""
    if row.next_attempt_at is None or row.next_attempt_at <= now:
        return "It is started again within a minute, or by the next message."
    seconds = (row.next_attempt_at - now).total_seconds()
    when = f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"
    return f"Logos tries again in about {when}; the next message tries at once."


def told(user: User, agent: Agent) -> Mapping[str, Any]:
    """What the section on the agent's page shows."""
    row = Sandbox.objects.filter(agent=agent).first()
    said = tell(row, agent.is_archived, timezone.now())
    may_operate = not agent.is_archived and bool(permissions.allows(user, "sandbox.operate", agent))
    return {
        "row": row,
        "said": said,
        "walls": explained(row.layers) if row else [],
        "limits": sandbox_limits.told(agent),
        "may_limit": bool(permissions.allows(user, "sandbox.limit", agent)),
        "may_prepare": may_operate and not said.is_moving and said.state != "ready",
        "may_stop": may_operate and said.state == "ready",
    }


def on_cards(user: User, agents: Sequence[Agent]) -> dict[str, dict[str, Any]]:
    """The word for each agent's sandbox; one query for all of them."""
    rows = {row.agent_id: row for row in Sandbox.objects.filter(agent__in=agents)}
    now = timezone.now()
    said = {agent.pk: tell(rows.get(agent.pk), agent.is_archived, now) for agent in agents}
    return {pk: {"state": each.state, "sandbox": each.state} for pk, each in said.items()}
