"""How an agent is composed, dimension by dimension, each with where its value comes from and what one may see of it.

Whoever may see an agent sees its composition, except the names of souls, models and policies they may not see: an
agent that was given to another owner keeps them and goes on working.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings

from agents import permissions, reaching
from agents.models import Agent, ModelRoute, Policy, Soul, User
from agents.routes import default_route

HIDDEN_SOUL = "a soul you may not see"
HIDDEN_MODEL = "a model you may not see"


@dataclass(frozen=True, slots=True)
class Dimension:
    """One letter of STAMP: what it is now, and why it is that."""

    letter: str
    name: str
    value: str
    source: str
    is_hidden: bool = False


def hide(user: User, agents: Sequence[Agent]) -> None:
    """Note on every agent which parts of it ``user`` may not see (``hides_soul``, ``hides_route``). One query."""
    souls = permissions.visible(user, Soul.objects.filter(pk__in={agent.soul_id for agent in agents})).order_by()
    routes = permissions.visible(user, ModelRoute.objects.filter(pk__in={a.route_id for a in agents if a.route_id}))
    seen = set(souls.values_list("pk").union(routes.order_by().values_list("pk")).values_list("pk", flat=True))
    for agent in agents:
        agent.hides_soul = agent.soul_id not in seen
        agent.hides_route = bool(agent.route_id) and agent.route_id not in seen


def mark(user: User, agents: Sequence[Agent]) -> None:
    """What ``hide`` notes, and which model each agent's next run uses (``shown_model``). Souls and routes must be
    loaded; two queries for any number."""
    hide(user, agents)
    fallback = default_route() if any(agent.route_id is None for agent in agents) else None
    for agent in agents:
        route = agent.route or fallback
        model = route.model if route else "no model yet"
        agent.shown_model = HIDDEN_MODEL if agent.hides_route else model


def dimensions(user: User, agent: Agent) -> list[Dimension]:
    """The five of them as ``user`` may see them."""
    mark(user, [agent])
    return [_soul(agent), _tools(agent), _runtime(agent), _model(agent), _permissions(user, agent)]


def _soul(agent: Agent) -> Dimension:
    if agent.hides_soul:
        return Dimension("S", "Soul", HIDDEN_SOUL, "Chosen for this agent; it goes on working.", is_hidden=True)
    return Dimension("S", "Soul", f"{agent.soul.name}, revision {agent.soul.revision}", "Chosen for this agent.")


def _tools(agent: Agent) -> Dimension:
    active = agent.active_toolsets()
    source = "Chosen for this agent."
    if set(active) != set(agent.toolsets):
        source = "Its own choice and its capabilities, within what its soul demands and forbids."
    return Dimension("T", "Tools", ", ".join(active) or "none", source)


def _runtime(agent: Agent) -> Dimension:
    return Dimension("A", "Agent runtime", agent.runtime, "The only one there is so far.")


def _model(agent: Agent) -> Dimension:
    shown = agent.shown_model
    if agent.route_id is None:
        return Dimension("M", "Model", shown, "The default model route; the agent names none.")
    hides = agent.hides_route
    value = shown if hides or agent.route is None else f"{shown} of {agent.route.provider.name}"
    return Dimension("M", "Model", value, "Chosen for this agent.", is_hidden=hides)


def _permissions(user: User, agent: Agent) -> Dimension:
    names, hosts, hides = [], set(), False
    seen = set(permissions.visible(user, Policy.objects.filter(agents=agent)).values_list("pk", flat=True))
    for policy in reaching.policies_of(agent):
        if policy.pk in seen:
            names.append(policy.name)
            hosts.update(policy.hosts)
        else:
            hides = True
    reach = ", ".join(sorted(hosts)) or ("" if hides else "no hosts")
    value = ", ".join(filter(None, [f"{settings.LOGOS_SANDBOX_DRIVER} sandbox", reach]))
    source = f"Policies: {', '.join(names)}." if names else "No policy is attached."
    if hides:
        source = f"{source if names else ''} Some policies you may not see.".strip()
    return Dimension("P", "Permissions", value, source, is_hidden=hides)
