"""The switches of the reviewer: for the whole house by admins, for one agent by operators who manage it."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from agents import audit, permissions
from agents.editing import check_version
from agents.errors import Invalid
from agents.models import Agent, ModelRoute, User
from runs.models import Most, ReviewedAgent, ReviewerSettings

MANUAL = "manual"


def site() -> ReviewerSettings:
    """What holds everywhere; what nobody has set yet is off."""
    return ReviewerSettings.objects.select_related("route__provider").filter(pk=1).first() or ReviewerSettings(pk=1)


def routes_for(user: User) -> QuerySet[ModelRoute]:
    """The models this person may let judge: any they may use but the rehearsal, which says what it is told to."""
    rows = ModelRoute.objects.select_related("provider").exclude(provider__kind="rehearsal")
    return permissions.visible(user, rows, "route.view").order_by("model")


def change(user: User, version: int | None, **fields: Any) -> ReviewerSettings:
    """Set ``is_on``, ``route``, ``most``; what is left out stays. Raises NotFound (one may not), Stale, Invalid."""
    permissions.require(user, "reviewer.edit")
    with transaction.atomic():
        # A row of a fixed key: two who save at once meet here.
        ReviewerSettings.objects.get_or_create(pk=1)
        row = ReviewerSettings.objects.select_for_update(of=("self",)).select_related("route").get(pk=1)
        check_version(row, version)
        before = (row.is_on, row.route_id, row.most)
        for name, value in fields.items():
            if name not in ("is_on", "route", "most"):
                raise Invalid(f"The reviewer has no {name}.", field=name)
            setattr(row, name, value)
        _check(user, row, before[1])
        if before != (row.is_on, row.route_id, row.most):
            row.save()
            audit.note(
                "reviewer_set", actor=user, on=row.is_on, model=row.route.model if row.route else "", most=row.most
            )
    return row


def _check(user: User, row: ReviewerSettings, route_before: str | None) -> None:
    if row.most not in Most.values:
        raise Invalid("The reviewer is asked up to low or medium severity, never above.", field="most")
    if row.route is not None and row.route.is_rehearsal:
        raise Invalid(
            "The rehearsal model says what the text before it tells it to say.",
            field="route",
            action="Choose a model that judges by itself.",
        )
    if row.route is not None and row.route_id != route_before and not routes_for(user).filter(pk=row.route_id).exists():
        raise Invalid("There is no such model.", field="route")
    if row.is_on and row.route is None:
        raise Invalid("Say which model reviews.", field="route")


def switched(agent: Agent) -> ReviewedAgent:
    """The agent's own switch; what nobody has set yet is off."""
    return ReviewedAgent.objects.filter(agent=agent).first() or ReviewedAgent(agent=agent)


def switch(user: User, agent: Agent, on: bool, version: int | None = None) -> ReviewedAgent:
    """Put what runs of this agent ask to the reviewer first, from its next message on, or no longer, at once."""
    permissions.require(user, "reviewer.switch", agent)
    with transaction.atomic():
        Agent.objects.select_for_update(of=("self",)).get(pk=agent.pk)  # two who switch at once meet here
        row = switched(agent)
        if row.pk is not None:
            check_version(row, version)
        if row.is_on == on:
            return row
        row.is_on = on
        row.save()
        audit.note("reviewer_agent_on" if on else "reviewer_agent_off", actor=user, about=agent)
    return row


def stamped(agent: Agent) -> str:
    """How requests of the agent are decided, as its STAMP says it."""
    row = site()
    if not row.is_on or row.route is None or not switched(agent).is_on:
        return MANUAL
    return f"reviewer {row.route_id} up to {row.most}"
