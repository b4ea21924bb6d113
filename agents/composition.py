"""Compose agents: create and change them, with the rules that hold for every door."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from agents import choosing, four_eyes, limits, permissions, sandbox_limits, sprites
from agents.errors import Conflict, Invalid
from agents.invisible import first_hidden
from agents.models import Agent, ModelRoute, Policy, Soul, User, Visibility
from agents.models.history import one_record
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


def clean_description(description: str) -> str:
    """The description as one line; Invalid when it is too long or holds what cannot be seen."""
    description = " ".join(unicodedata.normalize("NFC", description).split())
    if len(description) > 300:
        raise Invalid("A description may have 300 characters.", field="description")
    if first_hidden(description) is not None:
        raise Invalid("The description holds an invisible character.", field="description")
    return description


def create(
    owner: User,
    name: str,
    soul: Soul,
    *,
    toolsets: list[str] | None = None,
    route: ModelRoute | None = None,
    description: str = "",
    visibility: str = Visibility.PRIVATE,
    policies: Iterable[Policy] = (),
    sprite: tuple[str, str] = ("", ""),
    sandbox: Mapping[str, int] | None = None,
) -> Agent:
    """A new agent of ``owner``, who must be allowed to create agents and to use this soul, route and policies.

    ``toolsets`` None: what the soul preselects; what it enforces is in anyway, what it forbids is refused."""
    permissions.require(owner, "agent.create")
    choosing.require_soul(owner, soul)
    if route is not None:
        permissions.require(owner, "route.view", route)
    policies = list(policies)
    for policy in policies:
        permissions.require(owner, "policy.view", policy)
    four_eyes.require_given(Agent(name=name), policies, is_new=True)
    name, description = clean_name(name), clean_description(description)
    shape, palette = sprites.check(*sprite)
    own_limits = sandbox_limits.check(owner, sandbox or {}, {})
    try:
        with transaction.atomic():
            if of_name(Agent.objects.alive().filter(owner=owner), name).exists():
                raise _taken()
            limits.require_room(owner)
            agent = Agent(
                owner=owner,
                name=name,
                soul=soul,
                route=route,
                toolsets=list(check_choice(soul.toolsets, toolsets)),
                description=description,
                visibility=visibility,
                sprite_shape=shape,
                sprite_palette=palette,
                limits=own_limits,
            )
            agent.save()
            if policies:
                agent.policies.set(policies)
            return agent
    except IntegrityError as error:
        raise _taken() from error


# In place of a value that stays as it is, where None means something.
KEEP: Any = object()


def change(
    user: User,
    agent: Agent,
    *,
    name: str | None = None,
    description: str | None = None,
    soul: Soul | None = None,
    toolsets: list[str] | None = None,
    route: ModelRoute | None = KEEP,
    policies: Iterable[Policy] | None = None,
    sprite: tuple[str, str] | None = None,
    sandbox: Mapping[str, int | None] | None = None,
) -> Agent:
    """Compose ``agent`` (locked by ``agents.editing``, which asked for the permission) anew; None keeps what it has.

    Nobody gives it a soul, route or policy they may not see; what it has of those already may stay, and policies
    that ``user`` may not see always do. Takes effect on the next message; sandbox and history stay."""
    if soul is not None and soul.pk != agent.soul_id:
        choosing.require_soul(user, soul)
        agent.soul = soul
    if toolsets is not None:
        agent.toolsets = list(check_choice(agent.soul.toolsets, toolsets))
    if route is not KEEP:
        if route is not None and route.pk != agent.route_id:
            permissions.require(user, "route.view", route)
        agent.route = route
    if description is not None:
        agent.description = clean_description(description)
    if sprite is not None:
        agent.sprite_shape, agent.sprite_palette = sprites.check(*sprite)
    if sandbox is not None and (wanted := sandbox_limits.check(user, sandbox, agent.limits)) != agent.limits:
        permissions.require(user, "sandbox.limit", agent)
        agent.limits = wanted
    if name is not None:
        agent.name = clean_name(name)
        if of_name(Agent.objects.alive().filter(owner=agent.owner).exclude(pk=agent.pk), agent.name).exists():
            raise _taken(None if agent.owner == user else agent.owner)
    try:
        with transaction.atomic():
            _save(user, agent, policies)
    except IntegrityError as error:
        raise _taken(None if agent.owner == user else agent.owner) from error
    return agent


def _save(user: User, agent: Agent, policies: Iterable[Policy] | None) -> None:
    with one_record(agent):
        if policies is not None:
            mine = set(permissions.visible(user, Policy.objects.filter(agents=agent)))
            wanted = set(policies)
            for policy in wanted - mine:
                permissions.require(user, "policy.view", policy)
            four_eyes.require_given(agent, wanted - mine)
            agent.policies.remove(*(mine - wanted))
            agent.policies.add(*(wanted - mine))
        agent.save()


def _carry_given(user: User, subject: dict[str, Any]) -> None:
    """Give the agent the policies that a second person agreed to."""
    agent = permissions.fetch(user, "agent.edit", Agent.objects.alive(), pk=subject["agent_id"])
    wanted = list(permissions.visible(user, Policy.objects.filter(pk__in=subject["policy_ids"])))
    if len(wanted) != len(subject["policy_ids"]):
        raise Conflict("A policy of these is gone, or may not be seen any more.", action="Deny it and say so.")
    with one_record(agent):
        agent.policies.add(*wanted)
        agent.save()


four_eyes.CARRY["agent_policies"] = _carry_given


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


def _taken(owner: User | None = None) -> Conflict:
    who = f"{owner.display_name} already has" if owner else "You already have"
    return Conflict(f"{who} an agent of this name.", reason="name_taken", action="Choose another name.")
