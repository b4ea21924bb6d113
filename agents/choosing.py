"""Which souls and model routes somebody may choose, and which one they named; the obvious one when they named none."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from agents import permissions, souls
from agents.errors import Conflict, Invalid
from agents.models import ModelRoute, Soul, SoulStatus, User


def souls_for(user: User) -> QuerySet[Soul]:
    """The souls ``user`` is offered for a new agent: active ones they may see, and drafts they may edit."""
    drafts = permissions.visible(user, Soul.objects.filter(status=SoulStatus.DRAFT), "soul.edit")
    offered = Q(status=SoulStatus.ACTIVE) | Q(pk__in=drafts.values("pk"))
    return permissions.visible(user, Soul.objects.filter(offered))


def require_soul(user: User, soul: Soul) -> None:
    """Return if ``user`` may give an agent this soul. NotFound when they may not see it, Invalid when they may and
    it is archived, or a draft of somebody else's."""
    permissions.require(user, "soul.view", soul)
    if soul.status == SoulStatus.ARCHIVED:
        raise Invalid(f"The soul {soul.name} is archived.", field="soul_id", action="Choose another one.")
    if soul.status == SoulStatus.DRAFT and not permissions.allows(user, "soul.edit", soul):
        raise Invalid(f"The soul {soul.name} is a draft.", field="soul_id", action="Choose another one.")


def soul(user: User, named: str = "") -> Soul:
    """The soul of this id or slug that ``user`` may see. Without a name: the only one they are offered, or the
    starter soul made for them when there is none at all. NotFound for an unknown name, Invalid when there are
    several or the one named cannot be chosen."""
    if named:
        found = permissions.fetch(user, "soul.view", Soul.objects.filter(Q(pk=named) | Q(slug=named)))
        require_soul(user, found)
        return found
    seen = list(souls_for(user)[:2])
    if len(seen) > 1:
        raise Invalid(
            "There are several souls.", field="soul_id", reason="ambiguous", action="Say which one the agent has."
        )
    if seen:
        return seen[0]
    permissions.require(user, "soul.create")
    return souls.from_starter(souls.STARTER, user)


def route(user: User, named: str = "") -> ModelRoute | None:
    """The route of this id or model name that ``user`` may see; None (the default route) without a name.
    NotFound for an unknown name, Conflict when several providers have the model."""
    if not named:
        return None
    rows = ModelRoute.objects.select_related("provider").filter(Q(pk=named) | Q(model=named))
    found = list(permissions.visible(user, rows)[:2])
    if len(found) > 1:
        raise Conflict(f"Several providers have {named}.", reason="ambiguous", action="Use the route's id.")
    return found[0] if found else permissions.fetch(user, "route.view", rows)
