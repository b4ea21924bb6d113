"""Compose agents: create, change and delete them, with the rules that hold for every door."""

from __future__ import annotations

import unicodedata

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from agents import choosing, limits, permissions
from agents.errors import Conflict, Invalid
from agents.invisible import first_hidden
from agents.models import Agent, ModelRoute, Soul, User, Visibility
from agents.toolsets import check_choice


def clean_name(name: str) -> str:
    """The name without surrounding blanks; Invalid when empty, too long or holding what cannot be seen."""
    name = unicodedata.normalize("NFC", name.strip())
    if not name:
        raise Invalid("An agent needs a name.", field="name")
    if len(name) > 60:
        raise Invalid("A name may have 60 characters.", field="name")
    if "\n" in name or "\t" in name or first_hidden(name) is not None:
        raise Invalid("The name holds an invisible character.", field="name")
    return name


def create(
    owner: User,
    name: str,
    soul: Soul,
    *,
    toolsets: list[str] | None = None,
    route: ModelRoute | None = None,
    description: str = "",
    visibility: str = Visibility.PRIVATE,
) -> Agent:
    """A new agent of ``owner``, who must be allowed to create agents and to use this soul and route.

    ``toolsets`` None: what the soul preselects; what it enforces is in anyway, what it forbids is refused."""
    permissions.require(owner, "agent.create")
    choosing.require_soul(owner, soul)
    if route is not None:
        permissions.require(owner, "route.view", route)
    name, description = clean_name(name), description.strip()
    if len(description) > 300:
        raise Invalid("A description may have 300 characters.", field="description")
    try:
        with transaction.atomic():
            if of_name(Agent.objects.alive().filter(owner=owner), name).exists():
                raise _taken()
            limits.require_room(owner)
            return Agent.objects.create(
                owner=owner,
                name=name,
                soul=soul,
                route=route,
                toolsets=list(check_choice(soul.toolsets, toolsets)),
                description=description,
                visibility=visibility,
            )
    except IntegrityError as error:
        raise _taken() from error


def find(user: User, name_or_id: str, action: str = "agent.view") -> Agent:
    """The agent of this id or name that ``user`` may act on; one's own comes first; NotFound otherwise."""
    rows = Agent.objects.alive().select_related("soul", "route__provider", "owner")
    seen = permissions.visible(user, rows, action)
    found = seen.filter(pk=name_or_id).first() or of_name(seen.filter(owner=user), name_or_id).first()
    if found is None:
        named = list(of_name(seen, name_or_id)[:2])
        if len(named) == 2:
            raise Conflict(f"Several agents are called {name_or_id}.", reason="ambiguous", action="Use the agent's id.")
        found = named[0] if named else permissions.fetch(user, action, rows, pk=name_or_id)
    return found


def of_name(rows: QuerySet[Agent], name: str) -> QuerySet[Agent]:
    """Those of this name, upper and lower case alike. SQLite folds the letters of ASCII only, so that other
    names are compared here."""
    name = unicodedata.normalize("NFC", name.strip())
    if name.isascii():
        return rows.filter(name__iexact=name)
    same = [pk for pk, other in rows.values_list("pk", "name") if other.casefold() == name.casefold()]
    return rows.filter(pk__in=same)


def _taken() -> Conflict:
    return Conflict("You already have an agent of this name.", reason="name_taken", action="Choose another name.")
