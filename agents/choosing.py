"""Find the soul and the model route somebody named, or the obvious one when they named none."""

from __future__ import annotations

from django.db.models import Q

from agents import permissions, souls
from agents.errors import Conflict, Invalid
from agents.models import ModelRoute, Soul, User


def soul(user: User, named: str = "") -> Soul:
    """The soul of this id or slug that ``user`` may see. Without a name: their only one, or the starter soul
    made for them when there is none at all. NotFound for an unknown name, Invalid when there are several."""
    if named:
        return permissions.fetch(user, "soul.view", Soul.objects.filter(Q(pk=named) | Q(slug=named)))
    seen = list(permissions.visible(user, Soul.objects.all())[:2])
    if len(seen) > 1:
        raise Invalid(
            "There are several souls.", field="soul_id", reason="ambiguous", action="Say which one the agent has."
        )
    if seen:
        return seen[0]
    permissions.require(user, "soul.create")
    return souls.create(souls.STARTER_NAME, souls.STARTER_TEXT, user)


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
