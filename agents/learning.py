"""Let an agent learn what it needs: for a limited time, what no rule names is let through to the open internet and recorded.

It is per agent, not per policy: a policy may belong to many agents, also of other people, and all of them would be
opened for the needs of one. The policy that is named is where the rules are proposed, and whoever may edit it and
manages the agent may begin. Every absolute refusal stays: rules that deny, addresses, names and addresses of one's
own network, ports but 80 and 443. It ends by itself, because every connection asks anew whether it is over.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone

from agents import audit, permissions
from agents.actions import ACTIONS
from agents.errors import Conflict, Invalid, NotFound
from agents.models import Agent, Learning, Policy, User

DEFAULT_MINUTES = 60
MOST_MINUTES = 24 * 60


def going(agent_id: Any) -> QuerySet[Learning]:
    """The time of learning that goes on, if one does: not when it is over, when the agent has lost the policy, or
    when whoever began it may not begin one any more by their role."""
    roles = ACTIONS["agent.learn"].roles
    rows = Learning.objects.filter(agent=agent_id, ended_at=None, until__gt=timezone.now())
    return rows.filter(policy__agents=agent_id, started_by__is_active=True, started_by__role__in=roles)


def until(agent_id: str) -> datetime | None:
    """When the learning that goes on is over; None when none does. One query."""
    return going(agent_id).values_list("until", flat=True).first()


def until_of_each() -> Any:
    """The same as a column of a query of agents."""
    return Subquery(going(OuterRef("pk")).order_by().values("until")[:1])


def last(agent_id: str) -> Learning | None:
    """The newest time of learning whose rules could still be proposed."""
    return Learning.objects.filter(agent=agent_id, policy__agents=agent_id).select_related("policy").first()


def start(user: User, agent_id: str, policy_id: str, minutes: int = DEFAULT_MINUTES) -> Learning:
    """Begin. ``user`` manages the agent as an operator or admin and may edit the policy, which the agent has.

    Raises NotFound, Invalid for a time that is none, Conflict while it learns already or is not in use."""
    if not 1 <= minutes <= MOST_MINUTES:
        raise Invalid(
            f"An agent may learn for 1 to {MOST_MINUTES:,} minutes.", field="minutes", action="Begin again after that."
        )
    with transaction.atomic():
        agent = permissions.fetch(
            user, "agent.learn", Agent.objects.alive().select_for_update(of=("self",)), pk=agent_id
        )
        if agent.is_archived:
            raise Conflict(
                "This agent is archived, so it can learn nothing.", action="Take it out of the archive first."
            )
        policy = permissions.fetch(user, "policy.edit", Policy.objects.filter(agents=agent), pk=policy_id)
        settle(agent.pk)
        if going(agent.pk).exists():
            raise Conflict("This agent is learning already.", reason="learning", action="End that first.")
        now = timezone.now()
        try:
            with transaction.atomic():
                row = Learning.objects.create(
                    agent=agent, policy=policy, started_by=user, started_at=now, until=now + timedelta(minutes=minutes)
                )
        except IntegrityError as error:
            raise Conflict("This agent is learning already.", reason="learning", action="End that first.") from error
        audit.note("learning_on", actor=user, about=agent, minutes=minutes)
    return row


def stop(user: User, agent_id: str) -> Learning:
    """End it now: whoever may begin, and whoever manages the agent. Raises Conflict when it is over."""
    with transaction.atomic():
        agent = permissions.fetch(
            user, "agent.manage", Agent.objects.alive().select_for_update(of=("self",)), pk=agent_id
        )
        row = going(agent.pk).first()
        if row is None:
            settle(agent.pk)
            raise Conflict("This agent is not learning.", reason="not_learning", action="Nothing has to be done.")
        row.ended_at, row.ended_by = timezone.now(), user
        row.save(update_fields=["ended_at", "ended_by"])
        audit.note("learning_off", actor=user, about=agent)
    return row


def settle(agent_id: str = "") -> int:
    """Write down that those whose time is over have ended, and end those whose policy the agent has lost or that whoever
    began them could not begin any more; of all agents or one; how many."""
    open_ones = Learning.objects.filter(ended_at=None).select_related("agent", "policy", "started_by")
    rows = open_ones.filter(agent=agent_id) if agent_id else open_ones
    return sum(_settled(row) for row in rows)


def _settled(row: Learning) -> bool:
    if row.until <= timezone.now():
        ended_at, why = row.until, ""
    elif not row.policy.agents.filter(pk=row.agent_id).exists():
        ended_at, why = timezone.now(), "The agent does not have the policy any more."
    elif not _may_go_on(row):
        ended_at, why = timezone.now(), "Whoever began it may not any more."
    else:
        return False
    with transaction.atomic():
        is_ours = bool(Learning.objects.filter(pk=row.pk, ended_at=None).update(ended_at=ended_at))
        if is_ours:
            audit.note("learning_over", about=row.agent, why=why)
    return is_ours


def _may_go_on(row: Learning) -> bool:
    """A grant that is taken back, or an owner's agent given away, ends what was opened with it."""
    user = row.started_by
    return user is not None and all(
        permissions.allows(user, action, about)
        for action, about in (("agent.learn", row.agent), ("policy.edit", row.policy))
    )


def choices(user: User, agent: Agent) -> list[Policy]:
    """The policies of the agent for which ``user`` may let it learn."""
    rows = Policy.objects.filter(agents=agent).order_by("name")
    return list(permissions.visible(user, rows, "policy.edit"))


def readable(user: User, agent: Agent) -> list[Policy]:
    """The policies of the agent that ``user`` sees: they can propose rules for those."""
    return list(permissions.visible(user, Policy.objects.filter(agents=agent).order_by("name"), "policy.view"))


def require_policy(user: User, agent: Agent, policy_id: str) -> Policy:
    """The policy of the agent that ``user`` may edit, or only see when they may edit none: the one named, else the one
    it learned for last, else the first."""
    held = choices(user, agent) or readable(user, agent)
    if not policy_id and (row := last(agent.pk)) is not None and row.policy in held:
        return row.policy
    found = [policy for policy in held if policy_id in ("", policy.pk, policy.name)]
    if not found:
        raise NotFound("A policy of this agent that you may see")
    return found[0]
