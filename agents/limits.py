"""How many agents a person may own: the role's default or their own number, kept under a lock for every door.

What the service accounts they keep own counts as theirs: otherwise a limit would hold for nobody who makes some.
"""

from __future__ import annotations

from django.conf import settings
from django.db.models import Q

from agents.errors import Conflict
from agents.models import Agent, User
from agents.models.people import NO_LIMIT


def limit_of(person: User) -> int | None:
    """How many agents ``person`` may own; None without a limit."""
    if person.max_agents is None:
        limit: int | None = settings.LOGOS_MAX_AGENTS.get(person.role)
        return limit
    return None if person.max_agents == NO_LIMIT else person.max_agents


def limit_text(limit: int | None) -> str:
    """A stored limit as people type it."""
    return "role" if limit is None else "unlimited" if limit == NO_LIMIT else str(limit)


def owned(person: User) -> int:
    """How many living agents ``person`` owns, with those of the service accounts they keep."""
    return Agent.objects.alive().filter(Q(owner=person) | Q(owner__keeper=person)).count()


def used(person: User) -> str:
    """ "2 of 3 agents", or "2 agents" without a limit."""
    count, limit = owned(person), limit_of(person)
    if limit is None:
        return "1 agent" if count == 1 else f"{count} agents"
    return f"{count} of {limit} agent{'' if limit == 1 else 's'}"


def require_room(owner: User, more: int = 1) -> None:
    """Return if ``owner``, and whoever keeps a service account, may own this many more; Conflict otherwise. Call it in
    the transaction that makes the agent: the person's row stays locked until then, so that two at once do not both
    find the last place."""
    for each in filter(None, (owner.keeper, owner)):
        _require_room(User.objects.select_for_update().get(pk=each.pk), more)


def _require_room(now: User, more: int) -> None:
    limit = limit_of(now)
    if more and limit is not None and owned(now) + more > limit:
        who = f"{now.username} may own" if limit else f"{now.username} may not own"
        what = f"{limit} agent{'' if limit == 1 else 's'}" if limit else "agents"
        raise Conflict(
            f"{who} {what}{'' if not limit else ' at most, and has them' if more == 1 else ' at most'}.",
            reason="agent_limit_reached",
            action="Delete one that is not needed, or ask an admin for a higher limit."
            if limit
            else "Ask an admin for a higher limit.",
        )
